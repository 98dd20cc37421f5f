/**
 * Holm's correction ("A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics
 * 1979): with m true nulls among the tests of a table, the chance that any adjusted p falls below 5 % is at most 5 %,
 * however the tests depend on each other.
 */

/** The adjusted p of each, in their order, at most 1. NaN (nothing was tested) stays NaN and does not count. */
export function holm(ps: readonly number[]): number[] {
  const ascending = [...ps.keys()].filter((i) => !Number.isNaN(ps[i])).sort((i, j) => ps[i]! - ps[j]!);
  const adjusted = ps.map(() => Number.NaN);
  let largest = 0;
  for (const [rank, i] of ascending.entries()) {
    largest = Math.max(largest, Math.min(1, (ascending.length - rank) * ps[i]!));
    adjusted[i] = largest;
  }
  return adjusted;
}
