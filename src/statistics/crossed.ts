/**
 * A difference between two ways of making a model, each made with several seeds and measured on the same conversations.
 * Seeds and conversations are both draws, and crossed: every model has every conversation. The interval is that of a
 * hierarchical bootstrap (seeds with replacement, conversations with replacement; Davison and Hinkley, "Bootstrap Methods
 * and their Application", 1997, section 3.8). Resampling five seeds understates their spread and knows nothing of
 * Student, so the percentiles are taken wider: by the unbiased standard error over the bootstrap's, and by Student's quantile at
 * Satterthwaite's degrees of freedom ("An approximate distribution of estimates of variance components", Biometrics
 * 1946), few where seeds decide and many where conversations do. p is of the same statistic.
 */
import { internalError } from "../errors.ts";
import { createRandom } from "../random.ts";
import type { BootstrapOptions } from "./bootstrap.ts";
import { type PairedDifference, quantile, RESAMPLES, SIGNIFICANCE } from "./interval.ts";
import { mean, variance } from "./moments.ts";
import { normalDistribution, studentQuantile } from "./normal.ts";
import { resampledSums, sumOf } from "./resamples.ts";

const POWER = 0.8;
/** Least p that is told, as of permutations: further out the approximation says nothing. */
const LEAST_P = 1e-4;

/**
 * `ratio(a) - ratio(b)`, the mean over seeds. `a[s][c]` and `b[s][c]` are what conversation c costs the model of seed s;
 * `sizes[c]` is what it is divided by (bytes). Two seeds at least.
 */
export function crossedDifference(
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
  sizes: readonly number[],
  seed: string,
  { resamples = RESAMPLES }: BootstrapOptions = {},
): PairedDifference {
  const seeds = a.length;
  const units = sizes.length;
  const shaped = (models: readonly (readonly number[])[]) => models.every(({ length }) => length === units);
  if (seeds < 2 || b.length !== seeds || !shaped(a) || !shaped(b)) {
    throw internalError(`crossed samples of ${seeds} and ${b.length} seeds, ${units} conversations`);
  }
  const differences = a.map((ofA, s) => Float64Array.from(ofA, (cost, c) => cost - b[s]![c]!));
  const size = Float64Array.from(sizes);
  const total = sumOf(size);
  const bySeed = differences.map((column) => sumOf(column) / total);
  const value = mean(bySeed);
  const fromSeeds = variance(bySeed) / seeds;
  // What a conversation adds to the ratio, to first order.
  const influences = sizes.map((bytes, c) => mean(differences.map((column) => column[c]!)) - value * bytes);
  const fromUnits = (variance(influences) * units) / total ** 2;
  const error = Math.sqrt(fromSeeds + fromUnits);
  if (error === 0) return { value, low: value, high: value, p: value === 0 ? 1 : LEAST_P };
  const freedom = error ** 4 / (fromSeeds ** 2 / (seeds - 1) + fromUnits ** 2 / (units - 1));
  const estimates = resampled(differences, size, seed, resamples);
  const spread = Math.sqrt(variance(estimates));
  const tail = normalDistribution((-studentQuantile(1 - SIGNIFICANCE / 2, freedom) * error) / spread);
  const ascending = Float64Array.from(estimates).sort();
  return {
    value,
    low: quantile(ascending, tail),
    high: quantile(ascending, 1 - tail),
    p: twoSided(Math.abs(value) / error, freedom),
    detectable: error * (studentQuantile(1 - SIGNIFICANCE / 2, freedom) + studentQuantile(POWER, freedom)),
  };
}

function resampled(
  differences: readonly Float64Array[],
  size: Float64Array,
  seed: string,
  resamples: number,
): Float64Array {
  const sums = resampledSums([...differences, size], resamples, seed);
  const sizes = sums.pop()!;
  const seeds = differences.length;
  const random = createRandom(`${seed}/seeds`);
  return sizes.map((bytes, r) => {
    let sum = 0;
    for (let s = 0; s < seeds; s++) sum += sums[Math.floor(random.next() * seeds)]![r]!;
    return sum / (seeds * bytes);
  });
}

/** The p at which Student's two-sided quantile is t, by halving. */
function twoSided(t: number, freedom: number): number {
  let [low, high] = [Math.log(LEAST_P), 0];
  if (t >= studentQuantile(1 - LEAST_P / 2, freedom)) return LEAST_P;
  for (let halving = 0; halving < 50; halving++) {
    const middle = (low + high) / 2;
    if (studentQuantile(1 - Math.exp(middle) / 2, freedom) > t) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}
