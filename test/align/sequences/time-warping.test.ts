import fc from "fast-check";
import { expect, test } from "vitest";
import { warp } from "#src/align/sequences/time-warping.js";
import { slowWarping } from "./slow-warping.ts";

/** Whole costs, few different ones, so that ties abound. */
const costs = fc
  .tuple(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 1, max: 14 }), fc.integer({ min: 0, max: 4 }))
  .chain(([rows, columns, largest]) =>
    fc.array(fc.array(fc.nat(largest), { minLength: columns, maxLength: columns }), {
      minLength: rows,
      maxLength: rows,
    }),
  );

function fastPairs(
  matrix: readonly (readonly number[])[],
  bound: number,
  least: (values: readonly number[]) => number,
) {
  const columns = matrix[0]!.map((_, j) => matrix.map((row) => row[j]!));
  const { firstColumn, lastColumn, cost } = warp({
    rows: matrix.length,
    columns: columns.length,
    cost: (i, j) => matrix[i]![j]!,
    leastOfRow: Int32Array.from(matrix, least),
    leastOfColumn: Int32Array.from(columns, least),
    bound,
  });
  const pairs: [number, number][] = [];
  firstColumn.forEach((first, i) => {
    for (let j = first; j <= lastColumn[i]!; j++) pairs.push([i, j]);
  });
  return { pairs, cost };
}

test("finds the path of the whole matrix, ties included, however tight the bounds are", () => {
  fc.assert(
    fc.property(costs, fc.nat(10), (matrix, slack) => {
      const slow = slowWarping(matrix);
      expect(fastPairs(matrix, slow.cost, (values) => Math.min(...values))).toEqual(slow);
      expect(fastPairs(matrix, slow.cost + slack, (values) => Math.min(1, ...values))).toEqual(slow);
      expect(fastPairs(matrix, 1_000_000, () => 0)).toEqual(slow);
    }),
    { numRuns: 2000 },
  );
});

test("visits a band around the path, not the whole matrix", () => {
  const length = 1000;
  let visited = 0;
  warp({
    rows: length,
    columns: length,
    cost: (i, j) => {
      visited++;
      return i === j ? (i % 10 === 0 ? 3 : 0) : 5;
    },
    leastOfRow: Int32Array.from({ length }, (_, i) => (i % 10 === 0 ? 1 : 0)),
    leastOfColumn: new Int32Array(length),
    bound: 300,
  });
  expect(visited).toBeLessThan((length * length) / 10);
});
