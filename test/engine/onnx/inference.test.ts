import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, RowBatch } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { createRandom } from "#src/random.js";
import { GOLDEN_MODELS, goldenFolder, goldenRows, pipeline } from "./golden.ts";

let engine: Engine;

beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 2 });
});

afterAll(async () => {
  await engine.dispose();
});

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0);
}

describe.each(GOLDEN_MODELS)("%s", (name) => {
  test("has the reference's logits at every position", async () => {
    const model = await engine.open(goldenFolder(name));
    const { tensors } = await readSafetensors(resolve(goldenFolder(name), "golden.safetensors"));
    const expected = tensors.get("logits")!.data as Float32Array;
    const ids = tensors.get("input_ids")!.data as Int32Array;
    const [, length, vocabulary] = tensors.get("logits")!.shape as [number, number, number];
    expect(model.vocabulary).toBe(vocabulary);
    const logits = await model.logits(ids.subarray(0, length));
    // 1e-4 is the tolerance of the golden data; float32 is within 1.2e-5.
    expect(largestDifference(logits, expected.subarray(0, length * vocabulary))).toBeLessThan(1e-4);
    await model.dispose();
  });
});

describe.each(["mistral", "qwen2"])("rows of %s", (name) => {
  test("have the reference's distributions", async () => {
    const model = await engine.open(goldenFolder(name));
    const batch = await model.rows(goldenRows(name), 10);
    const shard = await readSafetensors(resolve(pipeline, "distributions", name, "shard-00000.safetensors"));
    const reference = await readSafetensors(resolve(pipeline, "distributions", name, "reference.safetensors"));
    const label = shard.tensors.get("label_logp")!.data as Float32Array;
    const top = reference.tensors.get("top_logp_f32")!.data as Float32Array;
    const ids = Int32Array.from(shard.tensors.get("top_id")!.data as Uint16Array);
    expect(largestDifference(batch.labelLogp, label)).toBeLessThan(1e-4);
    expect(largestDifference(batch.topLogp, top)).toBeLessThan(1e-4);
    for (let i = 0; i < ids.length; i++) {
      // Neighbours closer than 1e-4 may change places.
      const near = (j: number): boolean => ids[j] === batch.topId[i] && Math.abs(top[i]! - top[j]!) < 1e-4;
      expect(batch.topId[i] === ids[i] || near(i - 1) || near(i + 1)).toBe(true);
    }
    await model.dispose();
  });
});

test("rows do not depend on what else is in the batch, nor on its order", async () => {
  const model = await engine.open(goldenFolder("mistral"));
  const sequences = goldenRows("mistral");
  const together = await model.rows(sequences, 5);
  const reversed = await model.rows(sequences.toReversed(), 5);
  let start = 0;
  for (const [index, sequence] of sequences.entries()) {
    const count = sequence.positions.length;
    const alone = await model.rows([sequence], 5);
    // Other shapes are other sums: 2e-6 seen.
    expect(largestDifference(alone.labelLogp, together.labelLogp.subarray(start, start + count))).toBeLessThan(2e-5);
    expect(alone.topId).toEqual(together.topId.subarray(5 * start, 5 * (start + count)));
    const after = sequences.slice(index + 1).reduce((sum, { positions }) => sum + positions.length, 0);
    expect(largestDifference(alone.labelLogp, reversed.labelLogp.subarray(after, after + count))).toBeLessThan(2e-5);
    start += count;
  }
  await model.dispose();
});

test("drawn rows are drawn from the model's own distributions, by their numbers alone", async () => {
  const model = await engine.open(goldenFolder("mistral"));
  const K = 10;
  const random = createRandom("drawn rows");
  const sequences = goldenRows("mistral").map(({ ids, positions }) => ({
    ids,
    positions,
    uniform: Float32Array.from(positions, () => random.integer(2 ** 24) / 2 ** 24),
  }));
  const drawn = await model.rows(sequences, K);
  const top = await model.rows(
    sequences.map(({ ids, positions }) => ({ ids, positions })),
    K,
  );
  expect(drawn.labelLogp).toEqual(top.labelLogp);
  const reversed = await model.rows(sequences.toReversed(), K);
  const [last] = sequences.slice(-1);
  const lastIds = drawn.topId.subarray(drawn.topId.length - K * last!.positions.length);
  expect(reversed.topId.subarray(0, lastIds.length)).toEqual(lastIds);
  for (let row = 0; row < drawn.labelLogp.length; row++) {
    const places = Array.from({ length: K }, (_, k) => row * K + k).filter((at) => drawn.topLogp[at]! > -Infinity);
    const counts = places.map((at) => K * Math.exp(drawn.topLogp[at]!));
    for (const count of counts) expect(Math.abs(count - Math.round(count))).toBeLessThan(1e-5);
    expect(counts.reduce((a, b) => a + b, 0)).toBeCloseTo(K, 4);
    expect(counts).toEqual(counts.toSorted((a, b) => b - a));
    for (let at = row * K + places.length; at < (row + 1) * K; at++) expect(drawn.topId[at]).toBe(0);
    // An id is drawn within one of K p times; those of the top K are known.
    for (let k = 0; k < K; k++) {
      const expected = K * Math.exp(top.topLogp[row * K + k]!);
      const at = places.find((place) => drawn.topId[place] === top.topId[row * K + k]);
      const count = at === undefined ? 0 : K * Math.exp(drawn.topLogp[at]!);
      expect(Math.abs(count - expected)).toBeLessThan(1 + 1e-4);
    }
  }
  await model.dispose();
});

test("engines of as many threads give the same bytes, others the same numbers", async () => {
  const results: { rows: RowBatch; logits: Float32Array }[] = [];
  for (const threads of [2, 2, 1]) {
    const other = await createOnnxEngine({ threads });
    const model = await other.open(goldenFolder("llama"));
    const ids = Int32Array.from({ length: 90 }, (_, index) => (index * 31) % model.vocabulary);
    results.push({ rows: await model.rows(goldenRows("llama"), 10), logits: await model.logits(ids) });
    await other.dispose();
  }
  expect(results[0]).toEqual(results[1]);
  expect(largestDifference(results[0]!.logits, results[2]!.logits)).toBeLessThan(1e-5);
  expect(largestDifference(results[0]!.rows.labelLogp, results[2]!.rows.labelLogp)).toBeLessThan(1e-5);
});

test("sequences without rows, and no sequences at all, give no rows", async () => {
  const model = await engine.open(goldenFolder("llama"));
  const none = { ids: Int32Array.of(1, 2, 3), positions: new Int32Array(0) };
  const one = { ids: Int32Array.of(1, 2, 3), positions: Int32Array.of(2) };
  expect((await model.rows([], 3)).labelLogp.length).toBe(0);
  expect((await model.rows([none], 3)).topId.length).toBe(0);
  expect((await model.rows([none, one, none], 3)).topId.length).toBe(3);
  expect((await model.logits(new Int32Array(0))).length).toBe(0);
  await model.dispose();
});

test("a top-K larger than the vocabulary keeps the whole distribution, which sums to one", async () => {
  const model = await engine.open(goldenFolder("llama"));
  const { topLogp, topId } = await model.rows([{ ids: Int32Array.of(1, 2), positions: Int32Array.of(1) }], 1e6);
  expect(topId.length).toBe(model.vocabulary);
  expect(topLogp.reduce((sum, logp) => sum + Math.exp(logp), 0)).toBeCloseTo(1, 5);
  expect(new Set(topId).size).toBe(model.vocabulary);
  await model.dispose();
});
