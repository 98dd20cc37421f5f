/**
 * The golden models whose paths through the engine others share: logits, greedy answers and streamed layers of each, so
 * that no architecture is known by its graph alone.
 */
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ADAMW, type Engine } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { FURTHER_MODELS, goldenFigures, goldenFolder, goldenSequences } from "./golden.ts";

let resident: Engine;
let streaming: Engine;

beforeAll(async () => {
  resident = await createOnnxEngine({ threads: 2 });
  streaming = await createOnnxEngine({ threads: 2, residentBytes: 0 });
});

afterAll(async () => {
  await resident.dispose();
  await streaming.dispose();
});

describe.each(FURTHER_MODELS)("%s", (name) => {
  test("has the reference's logits, whole and layer by layer", async () => {
    const { tensors } = await readSafetensors(resolve(goldenFolder(name), "golden.safetensors"));
    const [, length, vocabulary] = tensors.get("logits")!.shape as [number, number, number];
    const expected = (tensors.get("logits")!.data as Float32Array).subarray(0, length * vocabulary);
    const ids = (tensors.get("input_ids")!.data as Int32Array).subarray(0, length);
    for (const engine of [resident, streaming]) {
      const model = await engine.open(goldenFolder(name));
      const logits = await model.logits(ids);
      expect(logits.length).toBe(expected.length);
      const difference = logits.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0);
      // The tolerance of the golden data.
      expect(difference).toBeLessThan(1e-4);
      await model.dispose();
    }
  });

  test("continues greedily with the reference's ids, alone and beside prompts of other lengths", async () => {
    const model = await resident.open(goldenFolder(name));
    const { prompt, ids } = goldenFigures(name).greedy;
    const prompts = [[5, 6], prompt, [...prompt, ...ids.slice(0, 5)]].map((given) => Int32Array.from(given));
    const options = { maxTokens: 24, stopIds: [], temperature: 0, topP: 1, topK: 0, seed: "test" };
    const [, answer, later] = await model.generate(prompts, options);
    expect([...answer!]).toEqual(ids);
    expect([...later!].slice(0, 19)).toEqual(ids.slice(5));
    await model.dispose();
  });

  test("has the reference's losses and gradient norm", async () => {
    const trainer = await resident.train(goldenFolder(name), { ...ADAMW, clipNorm: 1e30 });
    const sequences = await goldenSequences(name);
    const result = await trainer.step({ sequences, lambda: 0.9, learningRate: 1e-4 });
    const figures = goldenFigures(name);
    expect(Math.abs(result.labelLoss - figures.label_loss)).toBeLessThan(2e-5);
    expect(Math.abs(result.fusionLoss - figures.sparse_loss)).toBeLessThan(2e-5);
    expect(Math.abs(result.gradientNorm / figures.grad_norm - 1)).toBeLessThan(1e-5);
    await trainer.dispose();
  });
});
