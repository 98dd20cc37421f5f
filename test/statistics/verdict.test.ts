import { describe, expect, test } from "vitest";
import { verdict, verdicts } from "#src/statistics/verdict.js";

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
