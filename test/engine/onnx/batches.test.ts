import fc from "fast-check";
import { expect, test } from "vitest";
import { lengthBucket, planBatches, rowBucket } from "#src/engine/onnx/batches.js";

test("lengths are rounded up to four buckets a doubling", () => {
  expect([1, 16, 17, 21, 100, 128, 129, 300, 2048, 2049].map(lengthBucket)).toEqual([
    16, 16, 20, 24, 112, 128, 160, 320, 2048, 2560,
  ]);
  const buckets = new Set(Array.from({ length: 4096 }, (_, index) => lengthBucket(index + 1)));
  expect(buckets.size).toBe(33);
});

test("rows are rounded up to a power of two less than the positions, a sixteenth at least", () => {
  expect([1, 128, 129, 1000, 1025, 2048].map((rows) => rowBucket(rows, 2048))).toEqual([
    128, 128, 256, 1024, 2048, 2048,
  ]);
  expect(rowBucket(3, 20)).toBe(5);
});

test("every sequence with rows is in exactly one micro-batch that has room for it", () => {
  const extent = fc.record({ length: fc.integer({ min: 1, max: 700 }), rows: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(extent, { maxLength: 60 }), fc.integer({ min: 64, max: 2048 }), (sizes, budget) => {
      const extents = sizes.map(({ length, rows }) => ({ length, rows: Math.min(rows, length) }));
      const batches = planBatches(extents, budget);
      const members = batches.flatMap((batch) => batch.members);
      const wanted = extents.flatMap(({ rows }, index) => (rows > 0 ? [index] : []));
      expect([...members].sort((a, b) => a - b)).toEqual(wanted);
      for (const batch of batches) {
        expect(batch.size).toBeGreaterThanOrEqual(batch.members.length);
        expect(batch.size === 1 || batch.size * batch.length <= budget).toBe(true);
        const rows = batch.members.reduce((sum, index) => sum + extents[index]!.rows, 0);
        expect(batch.rows).toBeGreaterThanOrEqual(rows);
        for (const index of batch.members) expect(extents[index]!.length).toBeLessThanOrEqual(batch.length);
      }
    }),
  );
});

test("a thousand sequences of mixed lengths need few shapes and little padding", () => {
  const extents = Array.from({ length: 1000 }, (_, index) => ({ length: 20 + ((index * 37) % 400), rows: 10 }));
  const batches = planBatches(extents, 2048);
  const shapes = new Set(batches.map(({ size, length, rows }) => `${size} ${length} ${rows}`));
  const read = batches.reduce((sum, { size, length }) => sum + size * length, 0);
  const wanted = extents.reduce((sum, { length }) => sum + length, 0);
  expect(shapes.size).toBeLessThanOrEqual(28);
  expect(read / wanted).toBeLessThan(1.12);
});

test("a plan is the cheapest: two halves of a batch are read together, a long one does not drag short ones along", () => {
  const even = Array.from({ length: 8 }, () => ({ length: 128, rows: 64 }));
  expect(planBatches(even, 2048)).toEqual([
    { size: 8, length: 128, rows: 512, isLong: false, members: [0, 1, 2, 3, 4, 5, 6, 7] },
  ]);
  const uneven = [
    { length: 30, rows: 10 },
    { length: 1000, rows: 10 },
    { length: 28, rows: 10 },
  ];
  expect(planBatches(uneven, 2048).map(({ size, length, members }) => ({ size, length, members }))).toEqual([
    { size: 1, length: 1024, members: [1] },
    { size: 2, length: 32, members: [0, 2] },
  ]);
});

test("long sequences share no micro-batch with others, wherever their last labels stand", () => {
  const extents = [
    { length: 100, rows: 10 },
    { length: 90, rows: 10, isLong: true },
    { length: 100, rows: 10, isLong: true },
    { length: 96, rows: 10 },
    { length: 20, rows: 0, isLong: true },
  ];
  expect(planBatches(extents, 2048).map(({ size, isLong, members }) => ({ size, isLong, members }))).toEqual([
    { size: 2, isLong: true, members: [2, 1] },
    { size: 2, isLong: false, members: [0, 3] },
  ]);
});
