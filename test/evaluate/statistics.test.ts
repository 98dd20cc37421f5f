import { describe, expect, test } from "vitest";
import {
  bootstrapRatio,
  PERMUTATIONS,
  pairedRatioDifference,
  quantile,
  ratioOfSums,
  type Term,
  verdict,
} from "#src/evaluate/statistics.js";
import { createRandom } from "#src/random.js";

const terms = (numerators: readonly number[], denominator = 1): Term[] =>
  numerators.map((numerator) => ({ numerator, denominator }));

/** Normal deviates around a mean. */
function normals(count: number, mean: number, seed: string): number[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => mean + random.normal());
}

describe("bootstrapRatio", () => {
  test("the value is the ratio of sums, not the mean of ratios", () => {
    const unequal = [
      { numerator: 10, denominator: 1 },
      { numerator: 10, denominator: 9 },
    ];
    expect(ratioOfSums(unequal)).toBe(2);
    expect(bootstrapRatio(unequal, "x").value).toBe(2);
  });

  test("for a mean the interval is the normal one: mean ± 1.96 standard errors", () => {
    const values = normals(400, 5, "closed form");
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const standardError = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0)) / values.length;
    const { low, high } = bootstrapRatio(terms(values), "normal", 20_000);
    // The 2.5 % quantile of 20,000 resamples has itself a standard error of about 2 % of the half width.
    expect(Math.abs(low - (mean - 1.96 * standardError))).toBeLessThan(0.05 * 1.96 * standardError);
    expect(Math.abs(high - (mean + 1.96 * standardError))).toBeLessThan(0.05 * 1.96 * standardError);
  });

  test("about 95 % of the intervals of a ratio cover the truth", () => {
    const trials = 400;
    let covered = 0;
    for (let trial = 0; trial < trials; trial++) {
      const random = createRandom(`coverage ${trial}`);
      const sample = Array.from({ length: 50 }, () => {
        const denominator = 1 + random.integer(20);
        return { numerator: denominator * 2 + Math.sqrt(denominator) * random.normal(), denominator };
      });
      const { low, high } = bootstrapRatio(sample, `trial ${trial}`, 300);
      if (low <= 2 && 2 <= high) covered++;
    }
    // Binomial standard error 1.1 %; percentile intervals of 50 units cover slightly less than their name says.
    expect(covered / trials).toBeGreaterThan(0.9);
    expect(covered / trials).toBeLessThan(0.98);
  });

  test("a single unit has an interval of no width, equal seeds give equal intervals", () => {
    expect(bootstrapRatio(terms([3], 2), "one")).toEqual({ value: 1.5, low: 1.5, high: 1.5 });
    const values = terms(normals(20, 0, "seed"));
    expect(bootstrapRatio(values, "a")).toEqual(bootstrapRatio(values, "a"));
    expect(bootstrapRatio(values, "a")).not.toEqual(bootstrapRatio(values, "b"));
  });
});

describe("pairedRatioDifference", () => {
  test("equal models differ by nothing, with p 1", () => {
    const same = terms(normals(30, 4, "same"));
    const difference = pairedRatioDifference(same, same, "x");
    expect(difference).toEqual({ value: 0, low: 0, high: 0, p: 1 });
    expect(verdict(difference)).toBe("within noise");
  });

  test("p of n equal differences is 2 of 2^n flips", () => {
    const a = terms([1, 1, 1, 1]);
    const b = terms([2, 2, 2, 2]);
    const { value, p } = pairedRatioDifference(a, b, "flips");
    expect(value).toBe(-1);
    // 9,999 draws: standard error 0.0033.
    expect(Math.abs(p - 2 / 16)).toBeLessThan(0.012);
  });

  test("pairing finds a small difference under a large spread, and its verdict has the right sign", () => {
    const spread = normals(200, 50, "spread").map((value) => 10 * value);
    const noise = normals(200, 0, "noise");
    const a = terms(spread);
    const b = terms(spread.map((value, i) => value + 0.5 + 0.5 * noise[i]!));
    const better = pairedRatioDifference(a, b, "small");
    expect(better.high).toBeLessThan(0);
    expect(better.p).toBe(1 / (PERMUTATIONS + 1));
    expect(verdict(better)).toBe("better");
    expect(verdict(pairedRatioDifference(b, a, "small"))).toBe("worse");
  });

  test("without a difference, p is below 5 % in about 5 % of the cases", () => {
    let rejected = 0;
    const trials = 400;
    for (let trial = 0; trial < trials; trial++) {
      const a = terms(normals(20, 3, `a ${trial}`), 2);
      const b = terms(normals(20, 3, `b ${trial}`), 2);
      if (pairedRatioDifference(a, b, `null ${trial}`, 10, 199).p <= 0.05) rejected++;
    }
    // Binomial standard error 1.1 %.
    expect(rejected / trials).toBeGreaterThan(0.015);
    expect(rejected / trials).toBeLessThan(0.09);
  });

  test("three conversations never make a verdict, however sure the interval is", () => {
    const difference = pairedRatioDifference(terms([1, 1.1, 0.9]), terms([5, 5.1, 5.2]), "three");
    expect(difference.high).toBeLessThan(0);
    expect(difference.p).toBeGreaterThan(0.2);
    expect(verdict(difference)).toBe("within noise");
  });
});

test("quantile interpolates between neighbours", () => {
  expect(quantile([1, 2, 3, 4, 5], 0.5)).toBe(3);
  expect(quantile([1, 2], 0.25)).toBe(1.25);
  expect(quantile([7], 0.975)).toBe(7);
  expect(quantile([], 0.5)).toBeNaN();
});
