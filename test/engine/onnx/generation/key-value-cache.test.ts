import { expect, test } from "vitest";
import { copySlot, createCache, positionBytes, store } from "#src/engine/onnx/generation/key-value-cache.js";
import { openModel } from "#src/models/index.js";
import { goldenFolder } from "../golden.ts";

test("positions go to their slot, layer and head, and move to another cache with their slot", async () => {
  const model = await openModel(goldenFolder("mistral"));
  const { layers, keyValueHeads, headSize } = model.config;
  const cache = createCache(model, 3, 5);
  const [batch, length] = [2, 4];
  const count = 2 * layers * batch * keyValueHeads * length * headSize;
  const fresh = { data: Float32Array.from({ length: count }, (_, index) => index + 1), batch, length };
  store(cache, 2, fresh, 1, 3);
  store(cache, 2, fresh, 0, 1);
  expect([...cache.filled]).toEqual([0, 0, 4]);
  const moved = createCache(model, 1, 8);
  copySlot(cache, 2, moved, 0);
  expect([...moved.filled]).toEqual([4]);
  for (const [slots, slot, { arrays, capacity }] of [
    [3, 2, cache],
    [1, 0, moved],
  ] as const) {
    arrays.forEach((array, index) => {
      expect(array.length).toBe(slots * keyValueHeads * capacity * headSize);
      for (let head = 0; head < keyValueHeads; head++) {
        // Positions 0 to 2 of sequence 1, then position 0 of sequence 0, then nothing.
        for (const [place, b, t] of [
          [0, 1, 0],
          [1, 1, 1],
          [2, 1, 2],
          [3, 0, 0],
        ] as const) {
          const from = (((index * batch + b) * keyValueHeads + head) * length + t) * headSize;
          const at = ((slot * keyValueHeads + head) * capacity + place) * headSize;
          expect(array.subarray(at, at + headSize)).toEqual(fresh.data.subarray(from, from + headSize));
        }
        const end = ((slot * keyValueHeads + head) * capacity + 4) * headSize;
        expect(array[end]).toBe(0);
      }
    });
  }
});

test("a position takes a key and a value in every layer", async () => {
  const model = await openModel(goldenFolder("mistral"));
  const { layers, keyValueHeads, headSize } = model.config;
  expect(positionBytes(model)).toBe(2 * layers * keyValueHeads * headSize * 4);
  const bytes = createCache(model, 2, 3).arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(bytes).toBe(2 * 3 * positionBytes(model));
});

test("a cache that cannot be had says how much it needs", async () => {
  const model = await openModel(goldenFolder("mistral"));
  expect(() => createCache(model, 1, 2 ** 40)).toThrow(
    /mistral: keeping 1099511627776 positions of a conversation needs \d+\.\d GB of memory, and [\d.]+ GB are available/,
  );
});
