import { expect, test } from "vitest";
import { FUSION_FUNCTIONS, fusionFunction } from "#src/fuse/functions/index.js";

const shares = (name: string, ...nats: (number | null)[]) => fusionFunction(name).shares({ nats, bytesPerRow: 1 });

test("min-ce gives the row to the cheapest model, and a tie to the pivot", () => {
  expect([shares("min-ce", 2, 1), shares("min-ce", 1, 2), shares("min-ce", 1, 1)]).toEqual([
    [0, 1],
    [1, 0],
    [1, 0],
  ]);
  expect(shares("min-ce", 3, 2, 1, 1)).toEqual([0, 0, 1, 0]);
  expect(shares("min-ce", 3, null, 2)).toEqual([0, 0, 1]);
  expect(shares("min-ce", 3, null, null)).toEqual([1, 0, 0]);
  expect(fusionFunction("min-ce").blends).toBe(false);
});

test("avg-ce weighs by exp(-nats per token), and models that have not read it by nothing", () => {
  const { shares, blends } = fusionFunction("avg-ce");
  const found = shares({ nats: [0.5, null, 0.25, 0.125], bytesPerRow: 4 });
  const weights = [Math.exp(-2), 0, Math.exp(-1), Math.exp(-0.5)];
  const sum = weights.reduce((a, b) => a + b);
  for (const [index, weight] of weights.entries()) expect(found[index]).toBeCloseTo(weight / sum, 15);
  expect(blends).toBe(true);
  // Costs of which every exp(-cost) is 0 in doubles.
  expect(shares({ nats: [900, 900 + Math.log(3)], bytesPerRow: 1 })[0]).toBeCloseTo(0.75, 12);
});

test("source is the source whatever the pivot costs, and the cheapest of several", () => {
  expect(shares("source", 1, 9)).toEqual([0, 1]);
  expect(shares("source", 1, 9, 8, 8)).toEqual([0, 0, 1, 0]);
  expect(shares("source", 1, null, 8)).toEqual([0, 0, 1]);
  expect(shares("source", 1, null)).toEqual([1, 0]);
});

test("a name that nobody has is told its neighbour and the whole list", () => {
  expect(() => fusionFunction("min_ce")).toThrow(
    'fuse: unknown fusion function "min_ce"; did you mean "min-ce"? (there is: min-ce, avg-ce, source)',
  );
});

test("every function says what it is and where it comes from", () => {
  for (const { summary, paper } of FUSION_FUNCTIONS) {
    expect(summary.length).toBeGreaterThan(10);
    expect(paper).toMatch(/^https:\/\//);
  }
});
