/**
 * Exact order statistics of scores without sorting or keeping them: four readings, each of which counts the next 16
 * bits of those scores that share all bits before with the wanted one. Patterns of doubles that are not negative order
 * as their values.
 */
import { CHUNK_ENTRIES, type Pass } from "../method.ts";
import type { Score } from "../selection.ts";

const DIGIT_BITS = 16;
const DIGITS = 4;

/** The scores of the given ranks (0 the smallest) among `size`. */
export function* orderStatistics(ranks: readonly number[], score: Score): Generator<Pass, number[], void> {
  const scores = new Float64Array(CHUNK_ENTRIES);
  const digits = new Uint16Array(scores.buffer);
  // Per rank: the digits found so far, from the highest, and how many scores with them lie below.
  const found = ranks.map((rank) => ({ digits: [] as number[], rest: rank }));
  for (let level = 0; level < DIGITS; level++) {
    const histograms = ranks.map(() => new Uint32Array(1 << DIGIT_BITS));
    yield (chunk) => {
      score(chunk, scores);
      for (const [r, { digits: prefix }] of found.entries()) count(digits, chunk.count, prefix, histograms[r]!);
    };
    for (const [r, state] of found.entries()) {
      const histogram = histograms[r]!;
      let digit = 0;
      while (digit < histogram.length - 1 && state.rest >= histogram[digit]!) state.rest -= histogram[digit++]!;
      state.digits.push(digit);
    }
  }
  return found.map(({ digits: all }) => {
    const pattern = new Uint16Array([...all].reverse());
    return new Float64Array(pattern.buffer)[0]!;
  });
}

/** Counts the digit after `prefix` of those that begin with it; little-endian, so the highest digit comes last. */
function count(digits: Uint16Array, entries: number, prefix: readonly number[], histogram: Uint32Array): void {
  const next = DIGITS - 1 - prefix.length;
  for (let i = 0; i < entries; i++) {
    const first = DIGITS * i;
    let same = true;
    for (let d = 0; d < prefix.length && same; d++) same = digits[first + DIGITS - 1 - d] === prefix[d];
    if (same) histogram[digits[first + next]!]!++;
  }
}
