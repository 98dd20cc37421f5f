/** Events as JSON lines, for programs. Progress is thinned to about one line a second a stage, and has rate and time left. */
import type { Reporter } from "../reporter.ts";

const PROGRESS_INTERVAL_MS = 1000;

interface StageClock {
  readonly startedAt: number;
  /** Where the work began: a resumed stage does not start at nought. */
  readonly startedWith: number;
  printedAt: number | undefined;
}

/** `line` prints one value as one line; `now` is in milliseconds. */
export function createJsonReporter(line: (value: unknown) => void, now: () => number): Reporter {
  const clocks = new Map<string, StageClock>();
  return {
    report: (event) => {
      if (event.type === "start") {
        clocks.set(event.stage, { startedAt: now(), startedWith: 0, printedAt: undefined });
      }
      if (event.type !== "progress") {
        line(event);
        return;
      }
      const { stage, done, total } = event;
      const clock = clocks.get(stage) ?? { startedAt: now(), startedWith: done, printedAt: undefined };
      clocks.set(stage, clock);
      const isSoon = clock.printedAt !== undefined && now() - clock.printedAt < PROGRESS_INTERVAL_MS;
      if (done < total && isSoon) return;
      clock.printedAt = now();
      const perSecond = (1000 * (done - clock.startedWith)) / (now() - clock.startedAt);
      const isKnown = Number.isFinite(perSecond) && perSecond > 0;
      line(isKnown ? { ...event, per_second: perSecond, seconds_left: (total - done) / perSecond } : event);
    },
  };
}
