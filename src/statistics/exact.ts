/**
 * Exact two-sided tests of paired results. The sign test counts who won (Dixon and Mood 1946; on right and wrong
 * answers it is McNemar's exact test): nothing but the order of two results is believed. The sign-flip permutation
 * test uses how much they differ (Fisher 1935; Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses",
 * 2005): if the models were exchangeable, a prompt's two results could as well have been each other's.
 */
import { createRandom } from "../random.ts";
import type { Term } from "./interval.ts";

/** Permutations drawn where not all are tried; with the one seen they make p a multiple of 1 in 10,000. */
export const PERMUTATIONS = 9999;
/** Prompts that differ, up to which all 2^n permutations are tried. */
const EXACT_UNITS = 16;
/** Units whose flips are one random word. */
const WORD = 32;

export interface SignCounts {
  readonly wins: number;
  readonly losses: number;
  /** They have no part in the test: they speak for neither. */
  readonly ties: number;
}

export function signCounts(differences: readonly number[]): SignCounts {
  const wins = differences.filter((difference) => difference > 0).length;
  const losses = differences.filter((difference) => difference < 0).length;
  return { wins, losses, ties: differences.length - wins - losses };
}

/** p of differences as uneven in sign if either sign were equally likely; 1 where all are ties. */
export function signTest(differences: readonly number[]): number {
  const { wins, losses } = signCounts(differences);
  const fewer = Math.min(wins, losses);
  const all = wins + losses;
  // log of C(all, fewer) / 2^all; the terms below it are each k / (all - k + 1) of their neighbour.
  let logarithm = -all * Math.LN2;
  for (let i = 1; i <= fewer; i++) logarithm += Math.log((all - fewer + i) / i);
  let share = 1;
  for (let k = 1; k <= fewer; k++) share = 1 + (share * k) / (all - k + 1);
  return Math.min(1, 2 * Math.exp(logarithm) * share);
}

/**
 * p of `ratio(a) - ratio(b)`: the share of flips whose difference is at least as large as the one seen. All flips are
 * tried where at most 16 pairs differ, else `permutations` are drawn, and the one seen is counted with them.
 */
export function signFlipTest(
  a: readonly Term[],
  b: readonly Term[],
  seed: string,
  permutations: number = PERMUTATIONS,
): number {
  const halves: Term[] = [];
  let [top, bottom] = [0, 0];
  for (const [i, ours] of a.entries()) {
    const theirs = b[i]!;
    const numerator = (ours.numerator - theirs.numerator) / 2;
    const denominator = (ours.denominator - theirs.denominator) / 2;
    top += ours.numerator - numerator;
    bottom += ours.denominator - denominator;
    // A pair of equal results is the same either way round.
    if (numerator !== 0 || denominator !== 0) halves.push({ numerator, denominator });
  }
  // Flipping moves half a pair's difference from one side to the other: a's sums are top + n and bottom + d.
  const difference = (n: number, d: number): number => Math.abs((top + n) / (bottom + d) - (top - n) / (bottom - d));
  const seen = difference(sum(halves, "numerator"), sum(halves, "denominator"));
  // Flips that undo each other give the difference seen up to rounding: they count as equally large.
  const magnitude = halves.reduce((total, { numerator }) => total + Math.abs(numerator), 0) / Math.abs(bottom);
  const threshold = seen - 1e-12 * Math.max(seen, magnitude);

  const exact = halves.length <= EXACT_UNITS;
  const count = exact ? 2 ** halves.length : permutations;
  const [n, d] = flippedSums(halves, count, exact ? null : seed);
  let atLeast = 0;
  for (let p = 0; p < count; p++) if (difference(n[p]!, d[p]!) >= threshold) atLeast++;
  return exact ? atLeast / count : (atLeast + 1) / (count + 1);
}

function sum(halves: readonly Term[], part: keyof Term): number {
  return halves.reduce((total, half) => total + half[part], 0);
}

/** Sums of numerators and of denominators, each unit's sign as flipped; without a seed, flip p is the bits of p. */
function flippedSums(halves: readonly Term[], count: number, seed: string | null): [Float64Array, Float64Array] {
  const random = seed === null ? null : createRandom(seed);
  const sums: [Float64Array, Float64Array] = [new Float64Array(count), new Float64Array(count)];
  const flips = new Uint32Array(count);
  const even = halves.every(({ denominator }) => denominator === 0);
  for (let first = 0; first < halves.length; first += WORD) {
    const word = halves.slice(first, first + WORD);
    if (random === null) for (let p = 0; p < count; p++) flips[p] = p;
    else random.words(flips);
    addFlipped(
      Float64Array.from(word, ({ numerator }) => numerator),
      flips,
      sums[0],
    );
    if (!even)
      addFlipped(
        Float64Array.from(word, ({ denominator }) => denominator),
        flips,
        sums[1],
      );
  }
  return sums;
}

/** Adds up to 32 units by looking up 8 at a time in a table of their 256 sums: a flip costs an eighth of an addition. */
function addFlipped(halves: Float64Array, flips: Uint32Array, sums: Float64Array): void {
  const table = new Float64Array(4 * 256);
  for (let byte = 0; byte < 4; byte++) {
    const eight = halves.subarray(8 * byte, 8 * byte + 8);
    table[256 * byte] = eight.reduce((total, half) => total + half, 0);
    for (let bits = 1; bits < 256; bits++) {
      const lowest = 31 - Math.clz32(bits & -bits);
      table[256 * byte + bits] = table[256 * byte + (bits & (bits - 1))]! - 2 * (eight[lowest] ?? 0);
    }
  }
  for (let p = 0; p < sums.length; p++) {
    const bits = flips[p]!;
    const low = table[bits & 255]! + table[256 + ((bits >>> 8) & 255)]!;
    const high = table[512 + ((bits >>> 16) & 255)]! + table[768 + (bits >>> 24)]!;
    sums[p] = sums[p]! + low + high;
  }
}
