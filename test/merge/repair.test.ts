import { expect, test } from "vitest";
import { CHUNK_ENTRIES, type Chunk } from "#src/merge/chunk.js";
import { repairChunk } from "#src/merge/repair.js";

function chunkOf(models: readonly (readonly number[])[], base: readonly number[] = []): Chunk {
  const all = new Float64Array(models.length * CHUNK_ENTRIES);
  for (const [j, values] of models.entries()) all.set(values, j * CHUNK_ENTRIES);
  const origin = new Float64Array(base.length === 0 ? 0 : CHUNK_ENTRIES);
  origin.set(base);
  return { start: 0, count: models[0]!.length, models: all, base: origin };
}

function rowsOf({ models, count }: Chunk): number[][] {
  return Array.from({ length: models.length / CHUNK_ENTRIES }, (_, j) => [
    ...models.subarray(j * CHUNK_ENTRIES, j * CHUNK_ENTRIES + count),
  ]);
}

const { NaN: none, POSITIVE_INFINITY: infinite } = Number;

test("an entry that is no number is the base's", () => {
  const chunk = chunkOf(
    [
      [1, none, 3],
      [infinite, 5, 6],
    ],
    [7, 8, 9],
  );
  const counts = [0, 0, 0];
  repairChunk(chunk, counts);
  expect(rowsOf(chunk)).toEqual([
    [1, 8, 3],
    [7, 5, 6],
  ]);
  expect([...chunk.base.subarray(0, 3)]).toEqual([7, 8, 9]);
  expect(counts).toEqual([1, 1, 0]);
});

test("without a base, and for the base itself, it is the mean of the others, or 0", () => {
  const chunk = chunkOf([
    [none, none],
    [2, -infinite],
    [4, none],
  ]);
  const counts = [0, 0, 0];
  repairChunk(chunk, counts);
  expect(rowsOf(chunk)).toEqual([
    [3, 0],
    [2, 0],
    [4, 0],
  ]);
  expect(counts).toEqual([2, 1, 1]);

  const based = chunkOf([[none], [6]], [none]);
  const all = [0, 0, 0];
  repairChunk(based, all);
  expect(rowsOf(based)).toEqual([[6], [6]]);
  expect(based.base[0]).toBe(6);
  expect(all).toEqual([1, 0, 1]);
});
