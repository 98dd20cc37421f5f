/**
 * Two models on the same prompts: how much larger the first one's figure is, the interval by resampling prompts with
 * both results, p by exchanging a prompt's two results, and the difference that the prompts would have shown.
 */
import { internalError } from "../errors.ts";
import { bootstrapRatioDifference } from "./bootstrap.ts";
import { smallestDetectableDifference } from "./detectable.ts";
import { PERMUTATIONS, signFlipTest } from "./exact.ts";
import { type PairedDifference, RESAMPLES, ratioOfSums, type Term } from "./interval.ts";

export interface PairedOptions {
  /** `RESAMPLES` where not given. */
  readonly resamples?: number;
  /** `PERMUTATIONS` where not given. */
  readonly permutations?: number;
}

/** `mean(a) - mean(b)`; unit i of both is the same prompt. */
export function pairedMeanDifference(
  a: readonly number[],
  b: readonly number[],
  seed: string,
  options: PairedOptions = {},
): PairedDifference {
  const terms = (values: readonly number[]): Term[] => values.map((numerator) => ({ numerator, denominator: 1 }));
  return pairedRatioDifference(terms(a), terms(b), seed, options);
}

/** `ratio(a) - ratio(b)` of sums; unit i of both is the same prompt. */
export function pairedRatioDifference(
  a: readonly Term[],
  b: readonly Term[],
  seed: string,
  { resamples = RESAMPLES, permutations = PERMUTATIONS }: PairedOptions = {},
): PairedDifference {
  if (a.length !== b.length) throw internalError(`paired samples of ${a.length} and ${b.length} units`);
  const interval = bootstrapRatioDifference(a, b, seed, { resamples });
  const p = Number.isNaN(interval.value) ? Number.NaN : signFlipTest(a, b, `${seed}/flip`, permutations);
  const ours = influences(a);
  const theirs = influences(b);
  const detectable = smallestDetectableDifference(ours.map((influence, i) => influence - theirs[i]!));
  return { ...interval, p, ...(Number.isNaN(detectable) ? {} : { detectable }) };
}

/** What each unit adds to the ratio, to first order; of a mean, its distance from it. */
function influences(terms: readonly Term[]): number[] {
  const ratio = ratioOfSums(terms);
  const unit = terms.reduce((total, { denominator }) => total + denominator, 0) / terms.length;
  return terms.map(({ numerator, denominator }) => (numerator - ratio * denominator) / unit);
}
