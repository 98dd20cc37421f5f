/** Sums of the weights that models were given. */

/** Weights that cancel to less than this share of their size would blow rounding errors up beyond float32's own. */
const SMALLEST_SUM = 1e-7;

export function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** What is wrong where weights are to be divided by their sum, and that is as good as zero. */
export function sumsToNothing(models: readonly { readonly weight: number }[], switchName: string): string | undefined {
  const weights = models.map(({ weight }) => weight);
  const size = sumOf(weights.map(Math.abs));
  if (Math.abs(sumOf(weights)) > SMALLEST_SUM * size) return undefined;
  const list = weights.join(", ");
  return `the weights ${list} sum to ${sumOf(weights)}, so that nothing can be divided by it; change them or set ${switchName}: false`;
}
