/**
 * Error bars for ratios of sums, such as nats per byte: conversations are the units that were drawn, so they are what
 * is resampled, with all their rows (a row's nats are far from independent of its neighbour's). Percentile bootstrap
 * (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13) for intervals; sign-flip permutation
 * (Fisher; Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005) for the p of a paired comparison.
 *
 * The intervals cover the draw of the conversations, nothing else: not training seeds. With a handful of conversations
 * a percentile interval is too narrow (at 10 units it covers about 90 % instead of 95 %).
 */
import { internalError } from "../errors.ts";
import { createRandom } from "../random.ts";

export const RESAMPLES = 2000;
export const PERMUTATIONS = 9999;
const CONFIDENCE = 0.95;

/** A figure and its 95 % interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** A paired difference, its interval, and how often chance alone would make one as large. */
export interface PairedDifference extends Interval {
  /** Two-sided; at least 1 / (PERMUTATIONS + 1). */
  readonly p: number;
}

/** What one unit adds to a ratio of sums: nats over bytes. */
export interface Term {
  readonly numerator: number;
  readonly denominator: number;
}

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

/** The ratio of sums with its bootstrap interval. `seed` is any text; a single unit has an interval of no width. */
export function bootstrapRatio(terms: readonly Term[], seed: string, resamples: number = RESAMPLES): Interval {
  const estimates = resample(terms.length, seed, resamples, (draw) => {
    let numerator = 0;
    let denominator = 0;
    for (const index of draw) {
      numerator += terms[index]!.numerator;
      denominator += terms[index]!.denominator;
    }
    return numerator / denominator;
  });
  return { value: ratioOfSums(terms), ...percentiles(estimates) };
}

/**
 * `ratio(a) - ratio(b)`, unit i of both being the same conversation. The interval resamples pairs; p flips them: if
 * the two models were exchangeable, a conversation's two results could as well have been each other's.
 */
export function pairedRatioDifference(
  a: readonly Term[],
  b: readonly Term[],
  seed: string,
  resamples: number = RESAMPLES,
  permutations: number = PERMUTATIONS,
): PairedDifference {
  if (a.length !== b.length) throw internalError(`paired samples of ${a.length} and ${b.length} units`);
  const estimates = resample(a.length, seed, resamples, (draw) => {
    let an = 0;
    let ad = 0;
    let bn = 0;
    let bd = 0;
    for (const index of draw) {
      an += a[index]!.numerator;
      ad += a[index]!.denominator;
      bn += b[index]!.numerator;
      bd += b[index]!.denominator;
    }
    return an / ad - bn / bd;
  });
  const value = ratioOfSums(a) - ratioOfSums(b);
  return { value, ...percentiles(estimates), p: signFlip(a, b, value, `${seed}/flip`, permutations) };
}

/** Calls `estimate` with the indices of each resample, n of n with replacement; finite results, ascending. */
function resample(
  count: number,
  seed: string,
  resamples: number,
  estimate: (draw: Uint32Array) => number,
): Float64Array {
  const random = createRandom(`bootstrap/${seed}`);
  const draw = new Uint32Array(count);
  const estimates = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < count; i++) draw[i] = random.integer(count);
    estimates[r] = estimate(draw);
  }
  // A resample of nothing but empty conversations has no ratio.
  return estimates.filter((value) => Number.isFinite(value)).sort();
}

/** The central 95 % of ascending estimates, interpolated between neighbours. */
function percentiles(ascending: Float64Array): { low: number; high: number } {
  return { low: quantile(ascending, (1 - CONFIDENCE) / 2), high: quantile(ascending, (1 + CONFIDENCE) / 2) };
}

/** The q-quantile of ascending values (linear interpolation, type 7 of Hyndman and Fan); NaN of none. */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  const at = q * (ascending.length - 1);
  const below = Math.floor(at);
  const low = ascending[below] ?? Number.NaN;
  const high = ascending[Math.min(below + 1, ascending.length - 1)] ?? Number.NaN;
  return low + (at - below) * (high - low);
}

/** Share of random flips whose difference is at least as large as the one seen, the one seen among them. */
function signFlip(
  a: readonly Term[],
  b: readonly Term[],
  observed: number,
  seed: string,
  permutations: number,
): number {
  const random = createRandom(seed);
  // Flips that undo each other give the observed difference up to rounding: they count as equally large.
  const threshold = Math.abs(observed) * (1 - 1e-12);
  let atLeast = 1;
  for (let permutation = 0; permutation < permutations; permutation++) {
    let an = 0;
    let ad = 0;
    let bn = 0;
    let bd = 0;
    let bits = 0;
    for (let i = 0; i < a.length; i++) {
      if (i % 32 === 0) bits = random.integer(4294967296) | 0;
      const flipped = (bits & 1) === 1;
      bits >>>= 1;
      const first = flipped ? b[i]! : a[i]!;
      const second = flipped ? a[i]! : b[i]!;
      an += first.numerator;
      ad += first.denominator;
      bn += second.numerator;
      bd += second.denominator;
    }
    if (Math.abs(an / ad - bn / bd) >= threshold) atLeast++;
  }
  return atLeast / (permutations + 1);
}

export type Verdict = "better" | "worse" | "within noise";

/**
 * What a paired difference of a cost (less is better) shows. Both must agree: the interval, which at a handful of
 * conversations is too narrow, and p, which then cannot be small.
 */
export function verdict(difference: PairedDifference): Verdict {
  if (difference.p >= 1 - CONFIDENCE) return "within noise";
  if (difference.high < 0) return "better";
  return difference.low > 0 ? "worse" : "within noise";
}
