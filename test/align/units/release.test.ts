import { expect, test } from "vitest";
import { release } from "#src/align/units/release.js";

test("empties large arrays, and leaves small ones and what is no array", () => {
  const large = new Uint32Array(1 << 16);
  const sameBuffer = new Uint8Array(large.buffer, 16, 4);
  const small = Int32Array.of(1, 2, 3);
  const shared = new Uint8Array(new SharedArrayBuffer(1 << 20));
  release([large, sameBuffer, { format: "none" }, small, shared, null]);
  expect([large.length, sameBuffer.length, small.length, shared.length]).toEqual([0, 0, 3, 1 << 20]);
});

test("may be given nothing, or the same array again", () => {
  const array = new Float64Array(1 << 14);
  release([]);
  release([array]);
  release([array]);
  expect(array.length).toBe(0);
});
