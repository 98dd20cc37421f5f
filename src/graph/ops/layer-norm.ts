/**
 * Layer normalisation (Ba et al. 2016, eq. 3) without a bias: `y = n * weight` with `n = (x - mean) * r` and
 * `r = 1 / sqrt(variance + epsilon)` of each row. It is root mean square normalisation of what the mean leaves, so the
 * gradient is that one's with its own mean subtracted.
 */
import type { Value } from "../graph.ts";
import { scale, subtract } from "./arithmetic.ts";
import { reduceSum } from "./broadcast.ts";
import { rmsNorm } from "./rms-norm.ts";

/** `x` [rows, width], `weight` [width]; `epsilon` is added to the variance. */
export function layerNorm(x: Value, weight: Value, epsilon: number): Value {
  const mean = scale(reduceSum(x, [1]), 1 / x.shape[1]!);
  return rmsNorm(subtract(x, mean), weight, epsilon);
}
