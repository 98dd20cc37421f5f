/** The largest singular values, held against numpy's of all of them. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { type TruncatedSvd, truncatedSvd } from "#src/merge/adapters/truncated-svd.js";

interface Case {
  readonly rows: number;
  readonly columns: number;
  readonly decay: number;
  readonly values: readonly number[];
}

const GOLDEN = resolve(import.meta.dirname, "../../golden/adapters/singular-values.json");
const cases = JSON.parse(await readFile(GOLDEN, "utf8")) as readonly Case[];

const matrixOf = ({ rows, columns, decay }: Case): Float32Array =>
  Float32Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    return Math.sin((i + 1) * (j + 2) * 0.37) / (1 + decay * (i + j));
  });

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** Length of the matrix less the product, over that of the matrix. */
function leftOver(matrix: Float32Array, { values, left, right }: TruncatedSvd, columns: number): number {
  let rest = 0;
  let whole = 0;
  for (const [at, entry] of matrix.entries()) {
    const [i, j] = [Math.floor(at / columns), at % columns];
    const product = values.reduce((sum, value, r) => sum + value * left[r]![i]! * right[r]![j]!, 0);
    rest += (entry - product) ** 2;
    whole += entry ** 2;
  }
  return Math.sqrt(rest / whole);
}

test.each(cases.map((one) => [`${one.rows} by ${one.columns}, decay ${one.decay}`, one] as const))("%s", (_, one) => {
  const matrix = matrixOf(one);
  const whole = Math.sqrt(one.values.reduce((sum, value) => sum + value * value, 0));
  const isSmall = Math.min(one.rows, one.columns) <= 128;
  for (const rank of isSmall ? [1, 4, 12, 100] : [1, 4, 12]) {
    const svd = truncatedSvd(matrix, one.rows, one.columns, rank, "seed");
    const count = Math.min(rank, one.values.length);
    expect(svd.values.length).toBe(count);
    for (const [r, value] of svd.values.entries()) {
      // The sine differs in its last bits between libraries, which the rounding to float32 can make 6e-8 of an entry.
      // A subspace of a larger space ends where it gains no more than a billionth of its energy.
      const tolerance = isSmall ? 1e-7 : 1e-5;
      expect(Math.abs(value - one.values[r]!) / one.values[0]!, `value ${r} of ${rank}`).toBeLessThan(tolerance);
    }
    const expected = Math.sqrt(one.values.slice(count).reduce((sum, value) => sum + value * value, 0)) / whole;
    // No product of that rank leaves less.
    const rest = leftOver(matrix, svd, one.columns);
    expect(rest).toBeGreaterThan(expected - 1e-7);
    expect(rest).toBeLessThan(expected + 1e-6);
  }
});

test("vectors are orthogonal and of length 1, and the same seed gives the same bits", () => {
  const [one] = cases as [Case];
  const { left, right, values } = truncatedSvd(matrixOf(one), one.rows, one.columns, 6, "seed");
  for (const vectors of [left, right]) {
    for (const [a, x] of vectors.entries()) {
      for (const [b, y] of vectors.entries()) expect(dot(x, y)).toBeCloseTo(Number(a === b), 10);
    }
  }
  expect(truncatedSvd(matrixOf(one), one.rows, one.columns, 6, "seed").values).toEqual(values);
});

test("a matrix of a lower rank has zeros behind it, and nothing but zeros where it is zero", () => {
  const outer = Float32Array.from({ length: 30 * 20 }, (_, at) => (1 + Math.floor(at / 20)) * ((at % 20) - 7));
  const { values } = truncatedSvd(outer, 30, 20, 3, "seed");
  expect(values[0]).toBeCloseTo(Math.sqrt(9455 * 790), 6);
  expect(values[1]! / values[0]!).toBeLessThan(1e-12);
  expect([...truncatedSvd(new Float32Array(12), 3, 4, 2, "seed").values]).toEqual([0, 0]);
});
