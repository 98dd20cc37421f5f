/**
 * Events as progress on stderr, for people. On a terminal one live line a stage, rewritten in place, with rate, loss
 * and time left; elsewhere (a file, CI) a plain line every so often. `NO_COLOR`, `CI` and the width are honoured.
 */
import type { Reporter, ReporterEvent } from "../reporter.ts";
import { formatCount, formatSeconds } from "./figures.ts";
import type { Streams } from "./streams.ts";

export interface ProgressReporter extends Reporter {
  /** Takes the live line away, so that something else can be printed. */
  clear(): void;
}

/** How often the live line is rewritten. */
const LIVE_INTERVAL_MS = 100;
/** A plain line comes at every tenth of the work, but not within a second of the last, or after half a minute. */
const PLAIN_FRACTION = 0.1;
const PLAIN_SHORTEST_MS = 1000;
const PLAIN_LONGEST_MS = 30_000;

type Progress = Extract<ReporterEvent, { type: "progress" }>;

interface StageClock {
  readonly startedAt: number;
  /** Where the work began: a resumed stage does not start at nought. */
  readonly startedWith: number;
  printedAt: number;
  printedDone: number;
}

export function createProgressReporter(streams: Streams): ProgressReporter {
  const { stderr, environment, now } = streams;
  const live = stderr.terminal && isUnset(environment.CI) && environment.TERM !== "dumb";
  const colour = live && isUnset(environment.NO_COLOR);
  const clocks = new Map<string, StageClock>();
  let liveLine = false;

  const clear = (): void => {
    if (liveLine) stderr.write("\r\u001b[2K");
    liveLine = false;
  };
  const print = (line: string): void => {
    clear();
    stderr.write(`${line}\n`);
  };
  const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);

  const progress = (event: Progress): void => {
    let clock = clocks.get(event.stage);
    if (clock === undefined) {
      clock = { startedAt: now(), startedWith: event.done, printedAt: now(), printedDone: event.done };
      clocks.set(event.stage, clock);
    }
    const elapsed = now() - clock.printedAt;
    const text = progressLine(event, clock, now());
    if (live) {
      const isNewEnd = event.done === event.total && clock.printedDone < event.total;
      if (liveLine && elapsed < LIVE_INTERVAL_MS && !isNewEnd) return;
      clear();
      stderr.write(text.slice(0, Math.max(20, stderr.columns() - 1)));
      liveLine = true;
    } else {
      const tenth = event.done - clock.printedDone >= PLAIN_FRACTION * event.total && elapsed >= PLAIN_SHORTEST_MS;
      if (!tenth && elapsed < PLAIN_LONGEST_MS) return;
      print(text);
    }
    clock.printedAt = now();
    clock.printedDone = event.done;
  };

  return {
    clear,
    report: (event) => {
      switch (event.type) {
        case "start":
          clocks.set(event.stage, { startedAt: now(), startedWith: 0, printedAt: now(), printedDone: 0 });
          if (live) {
            clear();
            stderr.write(event.stage.slice(0, Math.max(20, stderr.columns() - 1)));
            liveLine = true;
          }
          break;
        case "progress":
          progress(event);
          break;
        case "end": {
          const clock = clocks.get(event.stage);
          const seconds = clock === undefined ? "" : ` (${formatSeconds((now() - clock.startedAt) / 1000)})`;
          print(`${paint(32, event.stage)}: ${event.summary}${paint(2, seconds)}`);
          clocks.delete(event.stage);
          break;
        }
        case "warning":
          print(`${paint(33, "warning")}: ${event.stage}: ${event.message}`);
          break;
      }
    },
  };
}

/** `fuse qwen2: 12/48 steps, 3.1 a second, loss 1.234, 12 s left` */
function progressLine(event: Progress, clock: StageClock, now: number): string {
  const parts = [`${event.stage}: ${formatCount(event.done)}/${formatCount(event.total)} ${event.unit}`];
  const seconds = (now - clock.startedAt) / 1000;
  const rate = (event.done - clock.startedWith) / seconds;
  if (seconds > 0 && rate > 0) parts.push(rateText(rate, event.unit));
  if (event.loss !== undefined) parts.push(`loss ${event.loss.toFixed(4)}`);
  if (seconds > 0 && rate > 0) parts.push(`${formatSeconds((event.total - event.done) / rate)} left`);
  return parts.join(", ");
}

function rateText(perSecond: number, unit: string): string {
  if (unit === "MB")
    return perSecond >= 1000 ? `${(perSecond / 1000).toFixed(2)} GB/s` : `${perSecond.toFixed(1)} MB/s`;
  if (perSecond >= 1) return `${formatCount(Math.round(perSecond * 10) / 10)} a second`;
  return `${formatSeconds(1 / perSecond)} each`;
}

function isUnset(value: string | undefined): boolean {
  return value === undefined || value === "";
}
