/** What both engine benchmarks share: flags, medians over interleaved rounds, and how figures are printed. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { SIZES } from "./random-model.mjs";

/** `--size small|larger --rounds 7 --length 256 --tokens 2048 --threads N`. */
export function flags() {
  const { values } = parseArgs({
    options: {
      size: { type: "string", default: "small" },
      rounds: { type: "string", default: "7" },
      length: { type: "string", default: "256" },
      tokens: { type: "string", default: "2048" },
      threads: { type: "string", default: `${availableParallelism()}` },
    },
  });
  const size = SIZES[values.size];
  if (size === undefined) throw new Error(`--size is one of ${Object.keys(SIZES).join(", ")}`);
  const length = Number(values.length);
  return {
    name: values.size,
    size,
    rounds: Number(values.rounds),
    length,
    sequences: Math.max(1, Math.floor(Number(values.tokens) / length)),
    threads: Number(values.threads),
  };
}

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Peak resident memory of this process so far, megabytes. */
export function peakMegabytes() {
  return process.resourceUsage().maxRSS / 1024;
}

/**
 * Token ids that look like text: the frequent ones often.
 * @param {import("../dist/random.js").Random} random
 * @param {number} length
 * @param {number} vocabulary
 */
export function randomIds(random, length, vocabulary) {
  return Int32Array.from({ length }, () => Math.floor(vocabulary * random.next() ** 3));
}

/** One line a figure, aligned. @param {Readonly<Record<string, string>>} figures */
export function print(figures) {
  const width = Math.max(...Object.keys(figures).map((name) => name.length));
  for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(width)}  ${value}`);
}
