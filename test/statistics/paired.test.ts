import { expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import { pairedMeanDifference, pairedRatioDifference } from "#src/statistics/paired.js";
import { verdict } from "#src/statistics/verdict.js";
import { normals, standardError, terms } from "./samples.ts";

test("equal models differ by nothing, with p 1", () => {
  const same = terms(normals(30, 4, "same"), 3);
  expect(pairedRatioDifference(same, same, "x")).toEqual({ value: 0, low: 0, high: 0, p: 1 });
});

test("pairing finds a small difference under a large spread, and its verdict has the right sign", () => {
  const spread = normals(200, 50, "spread").map((value) => 10 * value);
  const noise = normals(200, 0, "noise");
  const other = spread.map((value, i) => value + 0.5 + 0.5 * noise[i]!);
  const less = pairedMeanDifference(spread, other, "small");
  expect(less.high).toBeLessThan(0);
  expect(less.p).toBe(1 / 10_000);
  expect(verdict(less, "less")).toBe("better");
  expect(verdict(pairedMeanDifference(other, spread, "small"), "less")).toBe("worse");
  expect(verdict(less, "more")).toBe("worse");
});

test("of many pairs interval and p are those of the paired normal test", () => {
  const differences = normals(300, 0.1, "paired");
  const zero = differences.map(() => 0);
  const { value, low, high, p } = pairedMeanDifference(differences, zero, "closed form");
  const error = standardError(differences);
  expect(Math.abs(low - (value - 1.96 * error))).toBeLessThan(0.2 * error);
  expect(Math.abs(high - (value + 1.96 * error))).toBeLessThan(0.2 * error);
  // The normal test's p at this value; 9,999 permutations have a standard error below 0.005.
  const z = Math.abs(value) / error;
  expect(Math.abs(p - twoSided(z))).toBeLessThan(0.015);
});

test("denominators of their own are resampled with their pair", () => {
  const random = createRandom("own denominators");
  const a = Array.from({ length: 120 }, () => {
    const denominator = 10 + random.integer(90);
    return { numerator: 3 * denominator + random.normal(), denominator };
  });
  const b = a.map(({ numerator, denominator }) => ({
    numerator: numerator + denominator,
    denominator: denominator + 1,
  }));
  const { value, low, high } = pairedRatioDifference(a, b, "own");
  const sum = (key: "numerator" | "denominator", of: typeof a) => of.reduce((total, term) => total + term[key], 0);
  const expected = sum("numerator", a) / sum("denominator", a) - sum("numerator", b) / sum("denominator", b);
  expect(value).toBeCloseTo(expected, 12);
  expect(low).toBeLessThan(value);
  expect(high).toBeGreaterThan(value);
  expect(high - low).toBeLessThan(0.05);
});

test("the interval of a difference covers it in 95 ± 1.5 % of the samples", () => {
  const trials = 2000;
  let covered = 0;
  const random = createRandom("covered differences");
  for (let trial = 0; trial < trials; trial++) {
    const a = Array.from({ length: 80 }, () => {
      const denominator = 5 + random.integer(50);
      return { numerator: denominator + Math.sqrt(denominator) * random.normal(), denominator };
    });
    const b = a.map(({ denominator }) => ({
      numerator: 0.9 * denominator + Math.sqrt(denominator) * random.normal(),
      denominator,
    }));
    const { low, high } = pairedRatioDifference(a, b, `draws ${trial % 20}`, { resamples: 600, permutations: 1 });
    if (low <= 0.1 && 0.1 <= high) covered++;
  }
  // Binomial standard error 0.5 %.
  expect(Math.abs(covered / trials - 0.95)).toBeLessThan(0.015);
});

test("without a difference, p is below 5 % in about 5 % of the cases", () => {
  let rejected = 0;
  const trials = 1000;
  for (let trial = 0; trial < trials; trial++) {
    const a = normals(20, 3, `a ${trial}`);
    const b = normals(20, 3, `b ${trial}`);
    if (pairedMeanDifference(a, b, `null ${trial}`, { resamples: 10, permutations: 199 }).p <= 0.05) rejected++;
  }
  // Binomial standard error 0.7 %.
  expect(Math.abs(rejected / trials - 0.05)).toBeLessThan(0.02);
});

test("three conversations never make a verdict, however sure the interval is", () => {
  const difference = pairedRatioDifference(terms([1, 1.1, 0.9]), terms([5, 5.1, 5.2]), "three");
  expect(difference.high).toBeLessThan(0);
  expect(difference.p).toBe(2 / 2 ** 3);
  expect(verdict(difference, "less")).toBe("within noise");
  expect(difference).not.toHaveProperty("detectable");
});

test("nothing in common has no figure and no verdict", () => {
  const nothing = pairedMeanDifference([], [], "none");
  expect(nothing).toEqual({ value: Number.NaN, low: Number.NaN, high: Number.NaN, p: Number.NaN });
  expect(verdict(nothing, "more")).toBe("within noise");
  expect(() => pairedMeanDifference([1], [], "uneven")).toThrow("internal: paired samples of 1 and 0 units");
});

function twoSided(z: number): number {
  let tail = 0;
  for (let x = z; x < 9; x += 1e-4) tail += (Math.exp(-0.5 * (x + 5e-5) ** 2) * 1e-4) / Math.sqrt(2 * Math.PI);
  return 2 * tail;
}
