import { describe, expect, test } from "vitest";
import { smallestDetectableDifference } from "#src/statistics/detectable.js";
import { pairedMeanDifference } from "#src/statistics/paired.js";
import { normals, standardError } from "./samples.ts";

describe("smallestDetectableDifference", () => {
  test("of many prompts is 2.8 standard errors", () => {
    const differences = normals(805, 0.3, "many");
    const expected = (1.959964 + 0.841621) * standardError(differences);
    expect(Math.abs(smallestDetectableDifference(differences) / expected - 1)).toBeLessThan(0.005);
  });

  test("of six prompts has Student's quantiles", () => {
    // t(0.975) = 2.570582, t(0.8) = 0.919544 at 5 degrees of freedom; the standard deviation is root 3.5.
    const expected = ((2.570582 + 0.919544) * Math.sqrt(3.5)) / Math.sqrt(6);
    expect(Math.abs(smallestDetectableDifference([1, 2, 3, 4, 5, 6]) / expected - 1)).toBeLessThan(0.003);
  });

  test("is nothing that five prompts, or prompts without spread, could tell", () => {
    expect(smallestDetectableDifference([1, 2, 3, 4, 5])).toBeNaN();
    expect(smallestDetectableDifference(Array(50).fill(2))).toBeNaN();
    expect(smallestDetectableDifference([])).toBeNaN();
  });

  test.each([20, 80])("a true difference of that size is found in four of five cases, with %i prompts", (count) => {
    const trials = 800;
    // What is detectable at the true spread, 1.
    const size = smallestDetectableDifference(normals(count, 0, "x")) / (Math.sqrt(count / (count - 1)) * root(count));
    const zero = Array<number>(count).fill(0);
    let found = 0;
    for (let trial = 0; trial < trials; trial++) {
      const sample = normals(count, size, `power ${count} ${trial}`);
      if (pairedMeanDifference(sample, zero, "power", { resamples: 2, permutations: 999 }).p < 0.05) found++;
    }
    // Binomial standard error 1.4 %.
    expect(Math.abs(found / trials - 0.8)).toBeLessThan(0.045);
  });
});

/** The spread of the sample above, so that dividing by it leaves the size at a spread of 1. */
function root(count: number): number {
  return standardError(normals(count, 0, "x")) * Math.sqrt(count);
}
