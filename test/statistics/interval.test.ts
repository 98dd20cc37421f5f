import { expect, test } from "vitest";
import { quantile, ratioOfSums } from "#src/statistics/interval.js";
import { terms } from "./samples.ts";

test("quantile interpolates between neighbours", () => {
  expect(quantile([1, 2, 3, 4, 5], 0.5)).toBe(3);
  expect(quantile([1, 2], 0.25)).toBe(1.25);
  expect(quantile([7], 0.975)).toBe(7);
  expect(quantile([], 0.5)).toBeNaN();
});

test("a ratio of sums whose denominators are nothing is no number", () => {
  expect(ratioOfSums([...terms([3], 2), ...terms([1], 2)])).toBe(1);
  expect(ratioOfSums(terms([0], 0))).toBeNaN();
  expect(ratioOfSums([])).toBeNaN();
});
