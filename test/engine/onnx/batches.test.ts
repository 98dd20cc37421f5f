import fc from "fast-check";
import { expect, test } from "vitest";
import { lengthBucket, planBatches, rowBucket, sizeBucket } from "#src/engine/onnx/batches.js";

test("lengths are rounded up to few buckets", () => {
  expect([1, 16, 17, 100, 128, 129, 260, 300, 2048].map(lengthBucket)).toEqual([
    16, 16, 32, 112, 128, 160, 320, 320, 2048,
  ]);
  const buckets = new Set(Array.from({ length: 4096 }, (_, index) => lengthBucket(index + 1)));
  expect(buckets.size).toBe(28);
});

test("sizes and rows are rounded up to few buckets", () => {
  expect([1, 2, 3, 4, 5, 7, 9, 13, 17].map(sizeBucket)).toEqual([1, 2, 3, 4, 6, 8, 12, 16, 24]);
  expect(rowBucket(1, 2048)).toBe(256);
  expect(rowBucket(257, 2048)).toBe(512);
  expect(rowBucket(2048, 2048)).toBe(2048);
  expect(rowBucket(3, 16)).toBe(16);
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
  expect(shapes.size).toBeLessThanOrEqual(24);
  expect(read / wanted).toBeLessThan(1.15);
});
