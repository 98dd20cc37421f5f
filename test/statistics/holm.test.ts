import { describe, expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import { holm } from "#src/statistics/holm.js";

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
