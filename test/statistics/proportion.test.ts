import { expect, test } from "vitest";
import { proportionInterval } from "#src/statistics/proportion.js";

test("the interval of a share is Wilson's", () => {
  // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 1998, table I, method 3.
  for (const [successes, count, low, high] of [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ] as const) {
    const interval = proportionInterval(successes, count);
    expect(interval.value).toBe(successes / count);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  }
});

test("covers 95 % on average over all shares, 20 prompts", () => {
  const choose = [1];
  for (let k = 0; k < 20; k++) choose.push((choose[k]! * (20 - k)) / (k + 1));
  let mean = 0;
  for (let share = 0.0005; share < 1; share += 0.001) {
    for (let k = 0; k <= 20; k++) {
      const { low, high } = proportionInterval(k, 20);
      if (low <= share && share <= high) mean += 0.001 * choose[k]! * share ** k * (1 - share) ** (20 - k);
    }
  }
  expect(Math.abs(mean - 0.95)).toBeLessThan(0.01);
});

test("no prompt has no share", () => {
  expect(proportionInterval(0, 0)).toEqual({ value: Number.NaN, low: Number.NaN, high: Number.NaN });
});
