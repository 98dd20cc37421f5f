/**
 * What this folder's functions give back. Prompts (held-out: conversations) are the units that were drawn from all one
 * could have asked, so they are what is resampled and flipped, with everything that belongs to them; an interval
 * covers that draw and nothing else: not training seeds, not a judge's moods.
 */

/** A figure and its 95 % interval. NaN, all three, where there is no figure. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** A paired difference, its interval, and how often chance alone would make one as large. */
export interface PairedDifference extends Interval {
  /** Two-sided, of a test that is exact but for the permutations drawn: never below 1 in 10,000 where they are. */
  readonly p: number;
  /** The smallest difference that so many prompts would have shown (two-sided 5 %) in 80 % of the cases. */
  readonly detectable?: number;
}

/** What one unit adds to a ratio of sums: nats over bytes. */
export interface Term {
  readonly numerator: number;
  readonly denominator: number;
}

export const RESAMPLES = 10_000;
/** Chance of a verdict where there is no difference; an interval leaves half of it out at either end. */
export const SIGNIFICANCE = 0.05;

/** `sum of numerators / sum of denominators`; NaN where the denominators sum to 0. */
export function ratioOfSums(terms: readonly Term[]): number {
  let numerator = 0;
  let denominator = 0;
  for (const term of terms) {
    numerator += term.numerator;
    denominator += term.denominator;
  }
  return numerator / denominator;
}

/** The q-quantile of ascending values (linear interpolation, type 7 of Hyndman and Fan); NaN of none. */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  const at = q * (ascending.length - 1);
  const below = Math.floor(at);
  const low = ascending[below] ?? Number.NaN;
  const high = ascending[Math.min(below + 1, ascending.length - 1)] ?? Number.NaN;
  return low + (at - below) * (high - low);
}
