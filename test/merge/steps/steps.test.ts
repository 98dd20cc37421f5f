/** The steps that methods share, against their definitions. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBlockMemory } from "#src/merge/block-memory.js";
import { CHUNK_ENTRIES, type Chunk } from "#src/merge/chunk.js";
import { columnsOf, forEachRun, rowsOf, WHOLE } from "#src/merge/steps/groups.js";
import { rankRows } from "#src/merge/steps/rank-rows.js";
import { canRepeatTies, torchLargest } from "#src/merge/steps/torch-ties.js";

/** Chunks of one model's values with a base of zeros. */
function chunksOf(values: readonly number[]): Chunk[] {
  const chunks: Chunk[] = [];
  for (let start = 0; start < values.length; start += CHUNK_ENTRIES) {
    const count = Math.min(CHUNK_ENTRIES, values.length - start);
    const models = new Float64Array(CHUNK_ENTRIES);
    models.set(values.slice(start, start + count));
    chunks.push({ start, count, models, base: new Float64Array(CHUNK_ENTRIES) });
  }
  return chunks;
}

describe("groups", () => {
  const groupsIn = (groups: Parameters<typeof forEachRun>[0], chunk: Chunk): number[] => {
    const found: number[] = [];
    forEachRun(groups, chunk, (group, from, to) => {
      for (let i = from; i < to; i++) found[i] = group;
    });
    return found;
  };

  test("rows, columns and the whole, wherever a chunk begins", () => {
    const size = CHUNK_ENTRIES + 10;
    const [, chunk] = chunksOf(Array(size).fill(0));
    const flat = Array.from({ length: 10 }, (_, i) => CHUNK_ENTRIES + i);
    expect(groupsIn(WHOLE, chunk!)).toEqual(Array(10).fill(0));
    expect(groupsIn(rowsOf(size, 7), chunk!)).toEqual(flat.map((i) => Math.floor(i / 7)));
    expect(groupsIn(columnsOf(7), chunk!)).toEqual(flat.map((i) => i % 7));
  });
});

test("rows are ranked by magnitude, ties by place, across chunks", () => {
  const width = 1500;
  const values = Array.from({ length: 6 * width }, (_, i) => ((i * 7919) % 1009) * (i % 2 === 0 ? 1 : -1));
  const found: number[][] = [];
  const pass = rankRows(width, 1, createBlockMemory(), (_row, _model, order) => void found.push([...order]));
  for (const chunk of chunksOf(values)) pass(chunk);
  for (let row = 0; row < 6; row++) {
    const own = values.slice(row * width, (row + 1) * width).map(Math.abs);
    expect(found[row]).toEqual(own.map((_, i) => i).sort((a, b) => own[a]! - own[b]! || a - b));
  }
});

describe("the largest as PyTorch's topk finds them", () => {
  const bitsOf = (bits: Uint32Array, size: number): number[] =>
    Array.from({ length: size }, (_, i) => i).filter((i) => (bits[i >>> 5]! >>> (i & 31)) & 1);

  test("are the largest", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 4, maxLength: 300 }), fc.nat(), (list, pick) => {
        const count = 1 + (pick % (list.length - 1));
        const bits = torchLargest(Float64Array.from(list), count);
        if (bits === undefined) return;
        const taken = bitsOf(bits, list.length);
        expect(taken).toHaveLength(count);
        const sorted = [...list].sort((a, b) => b - a);
        expect(taken.map((i) => list[i]!).sort((a, b) => b - a)).toEqual(sorted.slice(0, count));
      }),
    );
  });

  test("of equal ones those that quickselect leaves in front", () => {
    // By hand: 6 equal scores, 3 wanted. Entry 3 becomes the pivot, then 1 and 5, and 2 and 4 change places.
    expect(bitsOf(torchLargest(new Float64Array(6), 3)!, 6)).toEqual([3, 4, 5]);
  });

  test("small shares and large tensors are left alone", () => {
    expect(canRepeatTies(6400, 100)).toBe(false);
    expect(canRepeatTies(6400, 101)).toBe(true);
    expect(canRepeatTies(1 << 23, 1 << 22)).toBe(false);
    expect(canRepeatTies(10, 10)).toBe(false);
  });
});
