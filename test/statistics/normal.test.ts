import { expect, test } from "vitest";
import { normalDistribution, normalQuantile, studentQuantile } from "#src/statistics/normal.js";

/** Abramowitz and Stegun, table 26.1 and 26.2, with the digits of a double. */
const DISTRIBUTION: readonly (readonly [number, number])[] = [
  [-10, 7.619853024160525e-24],
  [-5, 2.866515718791939e-7],
  [-3, 0.0013498980316300946],
  [-2.9, 0.0018658133003840378],
  [-1, 0.15865525393145707],
  [-0.1, 0.460172162722971],
  [0, 0.5],
  [0.5, 0.6914624612740131],
  [3, 0.9986501019683699],
  [3.1, 0.9990323967867817],
  [6, 0.9999999990134123],
];

test("the distribution has 13 digits, in the tails too", () => {
  for (const [x, p] of DISTRIBUTION) expect(Math.abs(normalDistribution(x) / p - 1)).toBeLessThan(1e-13);
});

test("the quantile undoes it", () => {
  // From Wichura's AS 241.
  expect(normalQuantile(0.975)).toBeCloseTo(1.9599639845400536, 13);
  expect(normalQuantile(0.8)).toBeCloseTo(0.8416212335729143, 13);
  expect(normalQuantile(0.001)).toBeCloseTo(-3.0902323061678136, 13);
  expect(normalQuantile(1e-10)).toBeCloseTo(-6.361340902404056, 12);
  for (const p of [1e-300, 1e-12, 0.02, 0.3, 0.5]) {
    expect(Math.abs(normalDistribution(normalQuantile(p)) / p - 1)).toBeLessThan(1e-11);
  }
  expect([normalQuantile(0), normalQuantile(1), normalQuantile(-0.1), normalQuantile(Number.NaN)]).toEqual([
    Number.NEGATIVE_INFINITY,
    Number.POSITIVE_INFINITY,
    Number.NaN,
    Number.NaN,
  ]);
});

test("Student's quantiles are those of the tables", () => {
  // Abramowitz and Stegun, table 26.10.
  for (const [freedom, expected, tolerance] of [
    [2, 4.303, 0.04],
    [5, 2.571, 0.003],
    [10, 2.228, 0.0005],
    [19, 2.093, 0.0003],
    [1e6, 1.96, 0.0003],
  ] as const) {
    expect(Math.abs(studentQuantile(0.975, freedom) / expected - 1)).toBeLessThan(tolerance);
  }
});
