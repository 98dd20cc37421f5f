/**
 * What an engine's log-probabilities may be. In single precision the log-sum-exp can fall short of a logit by a
 * rounding, so that the logarithm of a probability near one comes out a little above 0: by 1e-5 at logits of a hundred.
 */

/** Most by which it may; a value above that is no logarithm of a probability. */
const LARGEST = 1e-3;

/** False for NaN, and for what stands for a probability above one. */
export function isLogProbability(value: number): boolean {
  return value <= LARGEST;
}
