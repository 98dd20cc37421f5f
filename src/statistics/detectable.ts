/**
 * What a comparison could have shown at all: with n prompts whose paired differences have standard deviation s, a
 * two-sided test at 5 % finds a true difference of (t(0.975) + t(0.8)) s / root n in 80 % of the cases (Cohen,
 * "Statistical Power Analysis for the Behavioral Sciences", 1988). A difference "within noise" that is smaller says
 * nothing about the models, only about the number of prompts.
 */
import { SIGNIFICANCE } from "./interval.ts";
import { variance } from "./moments.ts";
import { studentQuantile } from "./normal.ts";

const POWER = 0.8;

/**
 * In the unit of the differences, one a prompt. NaN where there is no such difference: with five prompts or fewer the
 * least p of a permutation is 2 in 2^5, above 5 %; and without any spread nothing is known of it.
 */
export function smallestDetectableDifference(differences: readonly number[]): number {
  const count = differences.length;
  if (2 / 2 ** count >= SIGNIFICANCE) return Number.NaN;
  const deviation = Math.sqrt(variance(differences));
  if (deviation === 0) return Number.NaN;
  const quantiles = studentQuantile(1 - SIGNIFICANCE / 2, count - 1) + studentQuantile(POWER, count - 1);
  return (quantiles * deviation) / Math.sqrt(count);
}
