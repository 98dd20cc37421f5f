import { expect, test } from "vitest";
import { createJsonReporter } from "#src/cli/json-reporter.js";
import { createProgressReporter } from "#src/cli/progress-reporter.js";
import { memoryStreams } from "./memory-streams.ts";

const ERASE = "\r\u001b[2K";

function step(done: number, loss?: number) {
  const event = { type: "progress", stage: "fuse qwen2", done, total: 100, unit: "steps" } as const;
  return loss === undefined ? event : { ...event, loss };
}

test("a terminal has one live line with rate, loss and time left, rewritten in place", () => {
  const streams = memoryStreams({ terminal: true, environment: { NO_COLOR: "1" } });
  const reporter = createProgressReporter(streams);
  reporter.report({ type: "start", stage: "fuse qwen2" });
  streams.clock = 2000;
  reporter.report(step(10, 1.25));
  streams.clock = 2050;
  reporter.report(step(11, 1.24));
  streams.clock = 3000;
  reporter.report({ type: "end", stage: "fuse qwen2", summary: "100 steps" });
  expect(streams.stderr.text).toBe(
    `fuse qwen2${ERASE}fuse qwen2: 10/100 steps, 5 a second, loss 1.2500, 18 s left${ERASE}fuse qwen2: 100 steps (3.0 s)\n`,
  );
});

test("what is counted in megabytes has its rate in gigabytes a second", () => {
  const streams = memoryStreams({ terminal: true, environment: { NO_COLOR: "1" } });
  const reporter = createProgressReporter(streams);
  reporter.report({ type: "start", stage: "merge" });
  streams.clock = 2000;
  reporter.report({ type: "progress", stage: "merge", done: 3000, total: 12_000, unit: "MB" });
  expect(streams.stderr.text).toBe(`merge${ERASE}merge: 3,000/12,000 MB, 1.50 GB/s, 6.0 s left`);
});

test("the live line never wraps", () => {
  const streams = memoryStreams({ terminal: true, columns: 30 });
  const reporter = createProgressReporter(streams);
  streams.clock = 1000;
  reporter.report(step(10, 1.25));
  reporter.report(step(100, 1.25));
  for (const line of streams.stderr.text.split(ERASE)) expect(line.length).toBeLessThan(30);
});

test("colour needs a terminal and no NO_COLOR", () => {
  const summary = { type: "end", stage: "merge", summary: "done" } as const;
  const colours = (environment: Record<string, string>, terminal: boolean) => {
    const streams = memoryStreams({ terminal, environment });
    createProgressReporter(streams).report(summary);
    return streams.stderr.text.includes("\u001b[32m");
  };
  expect(colours({}, true)).toBe(true);
  expect(colours({ NO_COLOR: "1" }, true)).toBe(false);
  expect(colours({ CI: "true" }, true)).toBe(false);
  expect(colours({}, false)).toBe(false);
});

test("without a terminal a plain line comes at every tenth, and not more than one a second", () => {
  const streams = memoryStreams();
  const reporter = createProgressReporter(streams);
  reporter.report({ type: "start", stage: "fuse qwen2" });
  for (let done = 1; done <= 100; done++) {
    streams.clock += 50;
    reporter.report(step(done));
  }
  expect(streams.stderr.text.trim().split("\n")).toEqual([
    "fuse qwen2: 20/100 steps, 20 a second, 4.0 s left",
    "fuse qwen2: 40/100 steps, 20 a second, 3.0 s left",
    "fuse qwen2: 60/100 steps, 20 a second, 2.0 s left",
    "fuse qwen2: 80/100 steps, 20 a second, 1.0 s left",
    "fuse qwen2: 100/100 steps, 20 a second, 0.0 s left",
  ]);
});

test("a slow stage still says something every half minute", () => {
  const streams = memoryStreams();
  const reporter = createProgressReporter(streams);
  reporter.report({ type: "start", stage: "fuse qwen2" });
  streams.clock = 31_000;
  reporter.report(step(1));
  expect(streams.stderr.text).toBe("fuse qwen2: 1/100 steps, 31 s each, 51 min 9 s left\n");
});

test("JSON progress is thinned to a line a second, with rate and time left, and the last one always comes", () => {
  const lines: unknown[] = [];
  let clock = 0;
  const reporter = createJsonReporter(
    (value) => lines.push(value),
    () => clock,
  );
  const start = { type: "start", stage: "fuse qwen2" } as const;
  reporter.report(start);
  for (let done = 1; done <= 100; done++) {
    clock += 25;
    reporter.report(step(done));
  }
  const told = (done: number) => ({ ...step(done), per_second: 40, seconds_left: (100 - done) / 40 });
  expect(lines).toEqual([start, told(1), told(41), told(81), told(100)]);
});

test("JSON progress that begins in the middle has a rate from there on", () => {
  const lines: unknown[] = [];
  let clock = 500;
  const reporter = createJsonReporter(
    (value) => lines.push(value),
    () => clock,
  );
  reporter.report(step(50));
  clock += 2000;
  reporter.report(step(60));
  expect(lines).toEqual([step(50), { ...step(60), per_second: 5, seconds_left: 8 }]);
});
