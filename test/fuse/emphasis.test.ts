import { expect, test } from "vitest";
import { gainWeights } from "#src/fuse/emphasis.js";

/** Nats per byte of the pivot and two sources, by conversation. */
const record = (nats: readonly (readonly number[])[]) => ({ nats: (conversation: number) => nats[conversation]! });

test("half of an epoch goes to all alike, half by what the best source saves", () => {
  const known = record([
    [1, 0.4, 0.9],
    [0.5, 0.6, 0.5],
    [0.7, 0.5, 0.7],
  ]);
  // Gains 0.6, 0 and 0.2; 0.2666... in the mean.
  const weights = gainWeights(known, [0, 1, 2], 0.5)!;
  expect(weights[0]).toBeCloseTo(0.5 + 0.5 * 2.25, 12);
  expect(weights[1]).toBeCloseTo(0.5, 12);
  expect(weights[2]).toBeCloseTo(0.5 + 0.5 * 0.75, 12);
  expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(3, 12);
});

test("of three quarters to all alike a quarter goes by gain", () => {
  const known = record([
    [1, 0.5],
    [1, 1],
  ]);
  expect([...gainWeights(known, [0, 1], 0.75)!]).toEqual([1.25, 0.75]);
  expect([...gainWeights(known, [0, 1], 1)!]).toEqual([1, 1]);
});

test("weights follow the order of the shards, not of the data", () => {
  const known = record([
    [1, 0.5],
    [1, 1],
    [1, 1],
  ]);
  expect([...gainWeights(known, [2, 0], 0.5)!]).toEqual([0.5, 1.5]);
});

test("where no source is better anywhere there is nothing to emphasise", () => {
  expect(
    gainWeights(
      record([
        [0.5, 0.6],
        [0.5, 0.5],
      ]),
      [0, 1],
      0.5,
    ),
  ).toBeNull();
});
