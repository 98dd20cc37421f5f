/** Samples with a known truth, for the tests of this folder. */

import { createRandom } from "#src/random.js";
import type { Term } from "#src/statistics/interval.js";

export const terms = (numerators: readonly number[], denominator = 1): Term[] =>
  numerators.map((numerator) => ({ numerator, denominator }));

/** Normal deviates around a mean. */
export function normals(count: number, mean: number, seed: string): number[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => mean + random.normal());
}

export function standardError(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0)) / values.length;
}
