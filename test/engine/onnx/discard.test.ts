import { expect, test } from "vitest";
import { discard } from "#src/engine/onnx/discard.js";

test("large arrays are gone at once, small ones are left to the collector", async () => {
  const large = [new Float32Array(2 ** 22), new Float32Array(100)];
  await discard(large);
  expect(large.map(({ length }) => length)).toEqual([0, 0]);
  const small = [new Float32Array(2 ** 21), new Float32Array(100)];
  await discard(small);
  expect(small.map(({ length }) => length)).toEqual([2 ** 21, 100]);
  await discard([]);
});

test("memory that is given back can be taken again, many times over", async () => {
  for (let round = 0; round < 40; round++) await discard([new Float32Array(2 ** 24).fill(1)]);
  // 40 times 67 MB.
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(1e9);
});
