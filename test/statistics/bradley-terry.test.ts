import { expect, test } from "vitest";
import { bradleyTerry } from "#src/statistics/bradley-terry.js";

test("of two models the odds are the wins", () => {
  const [a, b] = bradleyTerry(Float64Array.of(0, 30, 10, 0), 2);
  expect(a! - b!).toBeCloseTo(Math.log(3), 9);
  expect(a! + b!).toBeCloseTo(0, 12);
});

test("at the maximum every model has won as often as its strength expects", () => {
  // The likelihood is concave, so that this says all.
  const wins = Float64Array.of(0, 12, 3.5, 0, 4, 0, 9, 2, 1.5, 11, 0, 7, 6, 1, 8, 0);
  const strengths = bradleyTerry(wins, 4);
  for (let i = 0; i < 4; i++) {
    let [won, expected] = [0, 0];
    for (let j = 0; j < 4; j++) {
      won += wins[4 * i + j]!;
      const played = wins[4 * i + j]! + wins[4 * j + i]!;
      expected += played / (1 + Math.exp(strengths[j]! - strengths[i]!));
    }
    expect(expected).toBeCloseTo(won, 7);
  }
  expect(strengths.reduce((sum, strength) => sum + strength)).toBeCloseTo(0, 10);
});

test("a start changes nothing, and where a model has lost all there is no maximum", () => {
  const wins = Float64Array.of(0, 5, 2, 3, 0, 4, 1, 6, 0);
  const found = bradleyTerry(wins, 3);
  const again = bradleyTerry(wins, 3, Float64Array.of(3, -1, -2));
  for (const [i, strength] of found.entries()) expect(again[i]).toBeCloseTo(strength, 8);
  expect([...bradleyTerry(Float64Array.of(0, 5, 2, 3, 0, 4, 0, 0, 0), 3)]).toEqual([
    Number.NaN,
    Number.NaN,
    Number.NaN,
  ]);
});
