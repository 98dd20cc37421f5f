/** The largest entries, against sorting all of them. */
import { describe, expect, test } from "vitest";
import { CHUNK_ENTRIES, type Chunk } from "#src/merge/method.js";
import { forEachSelected, selectLargest } from "#src/merge/selection.js";
import { createRandom } from "#src/random.js";

function select(scores: Float64Array, wanted: (positive: number) => number, width = 2) {
  const work = selectLargest({
    size: scores.length,
    score: ({ start, count }, out) => out.set(scores.subarray(start, start + count)),
    take: wanted,
    add: ({ start }, i, sums, at) => {
      if (width === 0) return;
      sums[at]! += scores[start + i]!;
      sums[at + 1]! += 1;
    },
    width,
  });
  let passes = 0;
  let step = work.next();
  while (step.done !== true) {
    passes++;
    for (let start = 0; start < scores.length; start += CHUNK_ENTRIES) {
      const count = Math.min(CHUNK_ENTRIES, scores.length - start);
      step.value({ start, count, models: new Float64Array(0), base: new Float64Array(0) } satisfies Chunk);
    }
    step = work.next();
  }
  const indices: number[] = [];
  const everything = { start: 0, count: scores.length, models: new Float64Array(0), base: new Float64Array(0) };
  forEachSelected(step.value.bits, everything, (index) => indices.push(index));
  return { ...step.value, indices, passes };
}

/** By score, ties to the lower index. */
function sorted(scores: Float64Array, count: number): number[] {
  const order = Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b);
  return order.slice(0, count).sort((a, b) => a - b);
}

test.each([0, 1, 17, 5000, 9999, 10000])("%i of 10,000 continuous scores", (count) => {
  const random = createRandom("selection");
  const scores = Float64Array.from({ length: 10_000 }, () => random.normal() ** 2);
  const found = select(scores, () => count);
  expect(found.indices).toEqual(sorted(scores, count));
  expect(found.count).toBe(count);
  expect(found.sums[1]).toBe(count);
  expect(found.sums[0]).toBeCloseTo(
    sorted(scores, count).reduce((total, index) => total + scores[index]!, 0),
    6,
  );
});

test("scores that tie are taken from the lowest index on", () => {
  const scores = Float64Array.from({ length: 9000 }, (_, index) => [3, 1, 2][index % 3]!);
  for (const count of [1, 2999, 3000, 3001, 6001]) {
    expect(select(scores, () => count).indices).toEqual(sorted(scores, count));
  }
});

test("zeros are taken last, and are not counted as positive", () => {
  const scores = Float64Array.from({ length: 6000 }, (_, index) => (index % 2 === 0 ? 0 : 1 + index));
  let positive = 0;
  const found = select(scores, (count) => {
    positive = count;
    return 3005;
  });
  expect(positive).toBe(3000);
  expect(found.indices).toEqual(sorted(scores, 3005));
});

test("scores far below 1 keep their order", () => {
  const random = createRandom("small");
  const scores = Float64Array.from({ length: 2000 }, () => 1e-30 * random.next());
  expect(select(scores, () => 200).indices).toEqual(sorted(scores, 200));
});

describe("more scores in the bin at the edge than are kept", () => {
  // Half of the entries, of two values that only the last bits tell apart.
  const few = Float64Array.from({ length: 700_000 }, (_, index) =>
    index % 2 === 0 ? 5 : index % 4 === 1 ? 1 : 1 + Number.EPSILON,
  );

  test("of few distinct ones, nothing summed: no reading more", () => {
    for (const count of [350_001, 525_000, 600_000]) {
      const found = select(few, () => count, 0);
      expect(found.passes).toBe(2);
      expect(found.indices).toEqual(sorted(few, count));
    }
  });

  test("where something is summed one more reading tells the k-th", () => {
    const found = select(few, () => 600_000);
    expect(found.passes).toBe(3);
    expect(found.indices).toEqual(sorted(few, 600_000));
    expect(found.sums[1]).toBe(600_000);
  });

  test("of more distinct ones than two bytes tell apart, one more reading too", () => {
    const random = createRandom("distinct");
    const many = Float64Array.from({ length: 80_000 }, () => 1 + random.next() / 1000);
    const found = select(many, () => 30_000, 0);
    expect(found.passes).toBe(3);
    expect(found.indices).toEqual(sorted(many, 30_000));
  });
});
