import { describe, expect, test } from "vitest";
import { PERMUTATIONS, signCounts, signFlipTest, signTest } from "#src/statistics/exact.js";
import { normals, terms } from "./samples.ts";

const signs = (wins: number, losses: number, ties = 0): number[] => [
  ...Array<number>(wins).fill(1),
  ...Array<number>(losses).fill(-2),
  ...Array<number>(ties).fill(0),
];

describe("signTest", () => {
  test("is the binomial sum, twice", () => {
    expect(signTest(signs(5, 0))).toBeCloseTo(2 / 32, 15);
    expect(signTest(signs(8, 2))).toBeCloseTo((2 * (1 + 10 + 45)) / 1024, 15);
    expect(signTest(signs(2, 8))).toBe(signTest(signs(8, 2)));
    expect(signTest(signs(4, 4))).toBe(1);
    // Binomial(100, 1/2) at most 39, summed in whole numbers.
    let [choose, sum] = [1n, 1n];
    for (let k = 1n; k <= 39n; k++) {
      choose = (choose * (101n - k)) / k;
      sum += choose;
    }
    const expected = 2 * Number((sum * 10n ** 20n) / 2n ** 100n) * 1e-20;
    expect(Math.abs(signTest(signs(61, 39)) / expected - 1)).toBeLessThan(1e-12);
  });

  test("drops ties, and counts them", () => {
    expect(signTest(signs(8, 2, 50))).toBe(signTest(signs(8, 2)));
    expect(signCounts(signs(8, 2, 50))).toEqual({ wins: 8, losses: 2, ties: 50 });
    expect(signTest(signs(0, 0, 3))).toBe(1);
    expect(signTest([])).toBe(1);
  });

  test("does not overflow or vanish for thousands of prompts", () => {
    expect(signTest(signs(5000, 5000))).toBe(1);
    expect(signTest(signs(5100, 4900))).toBeGreaterThan(0.045);
    expect(signTest(signs(5100, 4900))).toBeLessThan(0.047);
    expect(signTest(signs(3000, 0))).toBe(0);
    expect(signTest(signs(1000, 0))).toBeGreaterThan(0);
  });
});

describe("signFlipTest", () => {
  test("tries all flips of few pairs: n equal differences are 2 of 2^n", () => {
    for (const count of [1, 2, 4, 8, 16]) {
      expect(signFlipTest(terms(Array(count).fill(1)), terms(Array(count).fill(2)), "flips")).toBe(2 / 2 ** count);
    }
  });

  test("of few pairs is the share counted by hand, ratio by ratio", () => {
    const a = [3, 5, 4, 7, 9, 2].map((numerator, i) => ({ numerator, denominator: 10 + i }));
    const b = [4, 5, 6, 6, 12, 3].map((numerator, i) => ({ numerator, denominator: 12 - i }));
    const difference = (flips: number) => {
      let [an, ad, bn, bd] = [0, 0, 0, 0];
      for (const [i, ours] of a.entries()) {
        const [first, second] = (flips >> i) & 1 ? [b[i]!, ours] : [ours, b[i]!];
        an += first.numerator;
        ad += first.denominator;
        bn += second.numerator;
        bd += second.denominator;
      }
      return Math.abs(an / ad - bn / bd);
    };
    let atLeast = 0;
    for (let flips = 0; flips < 64; flips++) if (difference(flips) >= difference(0) - 1e-12) atLeast++;
    expect(signFlipTest(a, b, "by hand")).toBe(atLeast / 64);
  });

  test("draws flips of many pairs, and their p is near the exact one", () => {
    const a = normals(16, 0.5, "sixteen");
    const exact = signFlipTest(terms(a), terms(Array(16).fill(0)), "x");
    // A seventeenth pair of next to no weight does not move p, but makes it a drawn one; standard error below 0.005.
    const drawn = signFlipTest(terms([...a, 1e-9]), terms(Array(17).fill(0)), "x", 19_999);
    expect(Math.abs(drawn - exact)).toBeLessThan(0.015);
    expect(drawn).not.toBe(exact);
  });

  test("draws with denominators too: 40 pairs in two words of flips", () => {
    const a = normals(40, 5, "a").map((numerator, i) => ({ numerator, denominator: 1 + (i % 3) / 10 }));
    const b = normals(40, 5.1, "b").map((numerator, i) => ({ numerator, denominator: 1 + (i % 4) / 10 }));
    const p = signFlipTest(a, b, "two words");
    expect(p).toBeGreaterThan(0.02);
    expect(p).toBeLessThanOrEqual(1);
    expect(signFlipTest(b, a, "two words")).toBe(p);
  });

  test("counts the one seen among those drawn", () => {
    const a = terms(Array(40).fill(1));
    expect(signFlipTest(a, terms(Array(40).fill(2)), "seen")).toBe(1 / (PERMUTATIONS + 1));
  });

  test("pairs that are equal play no part", () => {
    const a = [1, 2, 3, 9, 9, 9];
    const b = [2, 3, 5, 9, 9, 9];
    expect(signFlipTest(terms(a), terms(b), "x")).toBe(2 / 2 ** 3);
    expect(signFlipTest(terms(a), terms(a), "x")).toBe(1);
  });
});
