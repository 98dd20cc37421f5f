import { describe, expect, test } from "vitest";
import { createRandom, type Random } from "#src/random.js";
import { bootstrapMean, bootstrapRatio, bootstrapStatistic } from "#src/statistics/bootstrap.js";
import { type Interval, quantile, ratioOfSums } from "#src/statistics/interval.js";
import { normals, standardError, terms } from "./samples.ts";

describe("bootstrapRatio", () => {
  test("the value is the ratio of sums, not the mean of ratios", () => {
    const unequal = [
      { numerator: 10, denominator: 1 },
      { numerator: 10, denominator: 9 },
    ];
    expect(ratioOfSums(unequal)).toBe(2);
    expect(bootstrapRatio(unequal, "x").value).toBe(2);
  });

  test("with equal denominators the interval is that of the mean", () => {
    const values = normals(50, 3, "equal");
    const { low, high } = bootstrapMean(values, "x");
    const ratio = bootstrapRatio(terms(values, 2), "x");
    expect(ratio.low).toBeCloseTo(low / 2, 12);
    expect(ratio.high).toBeCloseTo(high / 2, 12);
  });

  test("a resample of units without a denominator is left out", () => {
    const { value, low, high } = bootstrapRatio([...terms([2]), ...terms([0, 0], 0)], "hole");
    expect([value, low, high]).toEqual([2, 2, 2]);
  });
});

describe("bootstrapMean", () => {
  test("of many normal values the interval is the closed form: mean ± 1.96 standard errors", () => {
    const values = normals(400, 5, "closed form");
    const { value, low, high } = bootstrapMean(values, "normal", { resamples: 40_000 });
    const half = 1.96 * standardError(values);
    // The 2.5 % quantile of 40,000 resamples has itself a standard error of 0.7 % of the half width.
    expect(Math.abs(value - low - half)).toBeLessThan(0.04 * half);
    expect(Math.abs(high - value - half)).toBeLessThan(0.04 * half);
  });

  test("of a skewed sample the interval is skewed: it reaches farther where the tail is", () => {
    const values = normals(60, 0, "skew").map(Math.exp);
    const { value, low, high } = bootstrapMean(values, "skewed");
    expect((high - value) / (value - low)).toBeGreaterThan(1.3);
  });

  test("is the interval of Efron and Tibshirani's definition, computed step by step", () => {
    const values = [1, 2, 4, 8, 16, 3, 5, 7];
    const resamples = 2000;
    const draws: number[][] = [];
    const asStatistic = bootstrapStatistic(
      values.length,
      (draw) => {
        draws.push([...draw]);
        return [...draw].reduce((sum, i) => sum + values[i]!, 0) / draw.length;
      },
      "definition",
      { resamples },
    );
    const { value, low, high } = bootstrapMean(values, "definition", { resamples });
    expect([asStatistic.value, asStatistic.low, asStatistic.high]).toEqual([value, low, high]);

    const estimates = draws
      .slice(1, 1 + resamples)
      .map((draw) => draw.reduce((sum, i) => sum + values[i]!, 0) / draw.length)
      .sort((a, b) => a - b);
    const centred = values.map((x) => x - value);
    const a = centred.reduce((s, x) => s + x ** 3, 0) / (6 * centred.reduce((s, x) => s + x ** 2, 0) ** 1.5);
    const below = estimates.filter((x) => x < value).length + estimates.filter((x) => x === value).length / 2;
    // Student's quantile at 7 degrees of freedom is 2.364624. The share of `estimates` under `low` and `high` must be the two levels that bias and acceleration give.
    const z0 = probit(below / resamples);
    for (const [z, end] of [
      [-2.364624 * Math.sqrt(8 / 7), low],
      [2.364624 * Math.sqrt(8 / 7), high],
    ] as const) {
      const level = phi(z0 + (z0 + z) / (1 - a * (z0 + z)));
      // The expansion of Student's quantile moves an end by less than a fiftieth of the spacing of the data.
      expect(Math.abs(end - quantile(estimates, level))).toBeLessThan(0.02);
    }
  });

  test("an interval of a proportion ends at possible proportions", () => {
    const { value, low, high } = bootstrapMean([1, 1, 1, 0, 1, 1, 0, 1, 1, 1], "proportion");
    expect(value).toBeCloseTo(0.8, 12);
    expect(low).toBeGreaterThan(0.3);
    expect(low).toBeLessThan(0.6);
    expect(high).toBeLessThanOrEqual(1);
  });
});

describe("an interval of 95 % covers 95 ± 1 %", () => {
  const trials = 4000;
  const prompts = 100;
  const options = { resamples: 800 };

  /** Share of samples whose interval has the truth; standard error 0.35 %, so that 1 % is 2.9 of them. */
  function coverage(truth: number, interval: (random: Random, seed: string) => Interval): number {
    const random = createRandom("coverage");
    let covered = 0;
    for (let trial = 0; trial < trials; trial++) {
      // A few draws in turn: those of one seed err to one side in all trials.
      const { low, high } = interval(random, `draws ${trial % 20}`);
      if (low <= truth && truth <= high) covered++;
    }
    return covered / trials;
  }

  test("of normal means", () => {
    const share = coverage(0, (random, seed) =>
      bootstrapMean(Float64Array.from({ length: prompts }, random.normal), seed, options),
    );
    expect(Math.abs(share - 0.95)).toBeLessThan(0.01);
  });

  test("of ratios of sums", () => {
    const share = coverage(2, (random, seed) => {
      const sample = Array.from({ length: prompts }, () => {
        const denominator = 1 + random.integer(20);
        return { numerator: denominator * 2 + Math.sqrt(denominator) * random.normal(), denominator };
      });
      return bootstrapRatio(sample, seed, options);
    });
    expect(Math.abs(share - 0.95)).toBeLessThan(0.01);
  });
});

describe("bootstrapStatistic", () => {
  test("takes any figure of the drawn units, here a median", () => {
    const values = normals(101, 10, "median");
    const median = (draw: Uint32Array) => quantile(Float64Array.from(draw, (i) => values[i]!).sort(), 0.5);
    const { value, low, high } = bootstrapStatistic(values.length, median, "median");
    expect(value).toBe(
      quantile(
        [...values].sort((a, b) => a - b),
        0.5,
      ),
    );
    // A normal sample's median has a standard error of 1.25 / root n.
    expect(high - low).toBeGreaterThan((1.5 * 1.96 * 1.25) / Math.sqrt(101));
    expect(high - low).toBeLessThan((3 * 1.96 * 1.25) / Math.sqrt(101));
  });

  test("with more units than resamples leaves the jackknife out", () => {
    let calls = 0;
    const mean = (draw: Uint32Array) => {
      calls++;
      return draw.reduce((a, b) => a + b, 0) / draw.length;
    };
    const { value, low, high } = bootstrapStatistic(300, mean, "many", { resamples: 100 });
    expect(calls).toBe(101);
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThan(value);
  });
});

describe("samples with nothing to resample", () => {
  test("one unit, or units that are all alike, have an interval of no width", () => {
    expect(bootstrapRatio(terms([3], 2), "one")).toEqual({ value: 1.5, low: 1.5, high: 1.5 });
    expect(bootstrapStatistic(1, () => 7, "one")).toEqual({ value: 7, low: 7, high: 7 });
    for (const count of [2, 3, 6, 11, 805]) {
      const { value, low, high } = bootstrapMean(Array(count).fill(0.1), "alike");
      expect([low, high]).toEqual([value, value]);
      expect(value).toBeCloseTo(0.1, 14);
    }
  });

  test("no unit, or one that is no number, has no figure", () => {
    const nothing = { value: Number.NaN, low: Number.NaN, high: Number.NaN };
    expect(bootstrapMean([], "none")).toEqual(nothing);
    expect(bootstrapRatio([], "none")).toEqual(nothing);
    expect(bootstrapStatistic(0, () => 1, "none")).toEqual(nothing);
    expect(bootstrapMean([1, Number.NaN, 3], "hole")).toEqual(nothing);
    expect(bootstrapRatio(terms([1, 2], 0), "empty")).toMatchObject({ low: Number.NaN, high: Number.NaN });
  });
});

test("equal seeds give equal intervals, other seeds others", () => {
  const values = normals(20, 0, "seed");
  expect(bootstrapMean(values, "a")).toEqual(bootstrapMean(values, "a"));
  expect(bootstrapMean(values, "a")).not.toEqual(bootstrapMean(values, "b"));
});

/** By numerical integration, so that nothing of the tested code is used. */
function phi(z: number): number {
  const steps = 20_000;
  const width = (z + 8) / steps;
  let sum = 0;
  for (let i = 0; i < steps; i++) sum += Math.exp(-0.5 * (-8 + (i + 0.5) * width) ** 2) * width;
  return sum / Math.sqrt(2 * Math.PI);
}

function probit(p: number): number {
  let [low, high] = [-6, 6];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (phi(middle) < p) low = middle;
    else high = middle;
  }
  return low;
}
