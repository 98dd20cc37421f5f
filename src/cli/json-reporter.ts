/** Events as JSON lines, for programs. Progress is thinned to about one line a second a stage. */
import type { Reporter } from "../reporter.ts";

const PROGRESS_INTERVAL_MS = 1000;

/** `line` prints one value as one line; `now` is in milliseconds. */
export function createJsonReporter(line: (value: unknown) => void, now: () => number): Reporter {
  const printedAt = new Map<string, number>();
  return {
    report: (event) => {
      if (event.type === "progress" && event.done < event.total) {
        const last = printedAt.get(event.stage);
        if (last !== undefined && now() - last < PROGRESS_INTERVAL_MS) return;
        printedAt.set(event.stage, now());
      }
      line(event);
    },
  };
}
