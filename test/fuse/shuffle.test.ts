import { expect, test } from "vitest";
import { batches, epochOrder } from "#src/fuse/shuffle.js";
import { createRandom } from "#src/random.js";

test("every epoch holds each conversation once, in an order of its own", () => {
  const orders = [0, 1, 2].map((epoch) => epochOrder(50, epoch, 7, true));
  for (const order of orders) {
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index));
  }
  expect(new Set(orders.map(String)).size).toBe(3);
  expect(epochOrder(50, 0, 8, true)).not.toEqual(orders[0]);
});

test("the generator is the documented one", () => {
  const expected = createRandom("fuse/7/epoch 1").shuffle(Array.from({ length: 5 }, (_, index) => index));
  expect(epochOrder(5, 1, 7, true)).toEqual(expected);
});

test("with weights every conversation comes up as often as its part says, rounded up or down by lot", () => {
  // 1 in the mean, so each weight is what is expected of an epoch.
  const weights = Float64Array.from([2.5, 0.5, 0.5, 0.5, 1, 1, 0.25, 1.75]);
  const drawn = weights.map(() => 0);
  for (let epoch = 0; epoch < 400; epoch++) {
    const order = epochOrder(8, epoch, 3, true, weights);
    expect(order).toHaveLength(8);
    const counts = weights.map((_, index) => order.filter((one) => one === index).length);
    for (const [index, weight] of weights.entries()) {
      expect([Math.floor(weight), Math.ceil(weight)]).toContain(counts[index]);
      drawn[index]! += counts[index]!;
    }
  }
  // A count that is one of two numbers has a standard deviation of at most 0.5, the mean of 400 one of 0.025.
  for (const [index, weight] of weights.entries()) expect(Math.abs(drawn[index]! / 400 - weight)).toBeLessThan(0.1);
});

test("equal weights are every conversation once", () => {
  const order = epochOrder(1000, 2, 5, true, new Float64Array(1000).fill(0.1));
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, index) => index));
});

test("without shuffling every epoch keeps the order of the data", () => {
  expect(epochOrder(4, 3, 0, false)).toEqual([0, 1, 2, 3]);
});

test("batches cut each epoch in turn and keep its last, smaller one", () => {
  const batchOf = batches(5, 2, 0, false);
  expect([0, 1, 2, 3, 5].map(batchOf)).toEqual([[0, 1], [2, 3], [4], [0, 1], [4]]);
});

test("a step's batch does not depend on which steps were asked for before", () => {
  const inOrder = batches(11, 3, 5, true);
  const all = Array.from({ length: 12 }, (_, step) => inOrder(step));
  const backwards = batches(11, 3, 5, true);
  for (let step = 11; step >= 0; step--) expect(backwards(step)).toEqual(all[step]);
});
