import { describe, expect, test } from "vitest";
import { smallestDetectableDifference } from "#src/evaluate/statistics/detectable.js";
import { holm } from "#src/evaluate/statistics/holm.js";
import { pairedMeanDifference } from "#src/evaluate/statistics/paired.js";
import { verdict, verdicts } from "#src/evaluate/statistics/verdict.js";
import { createRandom } from "#src/random.js";
import { normals, standardError } from "./samples.ts";

describe("holm", () => {
  test("multiplies the smallest p by their number, the next by one less, and never goes back", () => {
    expect(holm([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02]);
    expect(holm([0.6, 0.9])).toEqual([1, 1]);
    expect(holm([0.02])).toEqual([0.02]);
    expect(holm([])).toEqual([]);
  });

  test("leaves out what was not tested", () => {
    expect(holm([0.01, Number.NaN, 0.5])).toEqual([0.02, Number.NaN, 0.5]);
  });

  test("without any difference, a table of 20 has a p below 5 % in at most about 5 % of the cases", () => {
    const random = createRandom("tables");
    let tables = 0;
    for (let trial = 0; trial < 4000; trial++) {
      if (holm(Array.from({ length: 20 }, random.next)).some((p) => p < 0.05)) tables++;
    }
    // 1 - 0.9975^20 = 4.9 %; binomial standard error 0.34 %.
    expect(Math.abs(tables / 4000 - 0.0488)).toBeLessThan(0.012);
  });
});

describe("verdict", () => {
  const difference = { value: -1, low: -2, high: -0.5, p: 0.01 };

  test("needs the interval and p to agree", () => {
    expect(verdict(difference, "less")).toBe("better");
    expect(verdict(difference, "more")).toBe("worse");
    expect(verdict({ ...difference, p: 0.05 }, "less")).toBe("within noise");
    expect(verdict({ ...difference, high: 0.1 }, "less")).toBe("within noise");
    expect(verdict({ ...difference, p: Number.NaN }, "less")).toBe("within noise");
  });

  test("in a table goes by the adjusted p", () => {
    const table = [difference, { ...difference, p: 0.03 }, { value: 1, low: 0.5, high: 2, p: 0.0001 }];
    expect(verdicts(table, "less")).toEqual([
      { p_adjusted: 0.02, verdict: "better" },
      { p_adjusted: 0.03, verdict: "better" },
      { p_adjusted: 0.00030000000000000003, verdict: "worse" },
    ]);
    const many = Array.from({ length: 10 }, () => difference);
    expect(verdicts(many, "less").map(({ verdict }) => verdict)).toEqual(Array(10).fill("within noise"));
  });
});

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
