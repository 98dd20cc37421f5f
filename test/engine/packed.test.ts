import { expect, test } from "vitest";
import { checkIds, packSequences, packTargets } from "#src/engine/packed.js";

const limits = { folder: "models/tiny", vocabulary: 10, maxPositions: 6 };
const sequence = (ids: number[], positions: number[]) => ({
  ids: Int32Array.from(ids),
  positions: Int32Array.from(positions),
});

test("rows are drawn all or none, by a number each", () => {
  const drawn = { ...sequence([1, 2, 3], [1, 2]), uniform: Float32Array.of(0.25, 0.5) };
  expect(packSequences([drawn, sequence([4], [])], limits).uniform).toEqual(Float32Array.of(0.25, 0.5));
  expect(() => packSequences([drawn, sequence([4, 5], [1])], limits)).toThrow(
    "sequence 1 has not a number for each of its rows, as others have",
  );
});

test("sequences are laid end to end with the place of each", () => {
  const packed = packSequences([sequence([1, 2, 3], [1, 2]), sequence([4], []), sequence([5, 6], [1])], limits);
  expect(packed).toEqual({
    ids: Int32Array.of(1, 2, 3, 4, 5, 6),
    idStart: Int32Array.of(0, 3, 4, 6),
    positions: Int32Array.of(1, 2, 1),
    rowStart: Int32Array.of(0, 2, 2, 3),
    uniform: null,
  });
});

test("an id outside the vocabulary is refused with its place", () => {
  expect(() => packSequences([sequence([1], []), sequence([1, 10], [])], limits)).toThrow(
    "models/tiny: position 1 of sequence 1 has id 10, but the ids of this model end at 9; the tokenizer belongs to another model",
  );
  expect(() => checkIds(Int32Array.of(-1), 0, limits)).toThrow("position 0 of sequence 0 has id -1");
});

test("a sequence longer than the context is refused", () => {
  expect(() => checkIds(new Int32Array(7), 3, limits)).toThrow(
    "models/tiny: sequence 3 has 7 tokens, but the context of this model ends at 6; lower max_length",
  );
  expect(() => checkIds(new Int32Array(7), 3, { ...limits, maxPositions: null })).not.toThrow();
});

test("label positions that do not ascend within the sequence are this program's fault", () => {
  for (const positions of [[0], [2, 1], [1, 1], [3]]) {
    expect(() => packSequences([sequence([1, 2, 3], positions)], limits)).toThrow(/^internal: label position/);
  }
});

test("targets are packed row by row and must agree in width and tail", () => {
  const target = (rows: number, width: number, tail: boolean, id = 1) => ({
    ...sequence([1, 2, 3], rows === 1 ? [1] : [1, 2]),
    targetId: new Int32Array(rows * width).fill(id),
    targetProbability: new Float32Array(rows * width).fill(0.5),
    tailProbability: tail ? new Float32Array(rows).fill(0.25) : null,
  });
  expect(packTargets([target(2, 2, true, 3), target(1, 2, true, 4)], limits)).toEqual({
    width: 2,
    targetId: Int32Array.of(3, 3, 3, 3, 4, 4),
    targetProbability: new Float32Array(6).fill(0.5),
    tailProbability: Float32Array.of(0.25, 0.25, 0.25),
  });
  expect(packTargets([target(2, 1, false)], limits).tailProbability).toBeNull();
  expect(() => packTargets([target(2, 2, false), target(1, 3, false)], limits)).toThrow(
    "the targets of sequence 1 are not [1, 2]",
  );
  expect(() => packTargets([target(2, 2, true), target(1, 2, false)], limits)).toThrow("the tail of sequence 1");
  expect(() => packTargets([target(1, 1, false, 10)], limits)).toThrow("target of sequence 0 has id 10");
});
