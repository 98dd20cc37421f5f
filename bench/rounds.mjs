/** What the engine's benchmarks share: medians over interleaved rounds, memory, random ids, and how figures are printed. */

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
