import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ADAMW } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import {
  type BatchShape,
  fullBatch,
  leastTrainingBytes,
  positionBudget,
  teacherBytes,
  trainingBytes,
} from "#src/engine/onnx/memory.js";
import { type Model, modelFromConfig } from "#src/models/index.js";

interface Size {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediate: number;
  readonly vocabulary: number;
}

function config({ hidden, layers, heads, intermediate, vocabulary }: Size) {
  return {
    model_type: "llama",
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: intermediate,
    vocab_size: vocabulary,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  };
}

const model = (size: Size): Model => modelFromConfig("a", "a/config.json", config(size));
const SMALL = { hidden: 128, layers: 2, heads: 4, intermediate: 256, vocabulary: 1000 };
const DEEP = { hidden: 576, layers: 30, heads: 9, intermediate: 1536, vocabulary: 1000 };

test("small models train on micro-batches of 2,048 positions, large ones on fewer", () => {
  expect(positionBudget(model(SMALL))).toBe(2048);
  expect(positionBudget(model(DEEP))).toBe(1024);
  expect(positionBudget(model({ ...SMALL, hidden: 8192, intermediate: 32768, layers: 8 }))).toBe(256);
});

test("training needs weights, moments and gradients, a second gradient for several micro-batches, and activations", () => {
  const small = model(SMALL);
  const shapes = [fullBatch(256, 2048)];
  expect(shapes).toEqual([{ batch: 8, length: 256, rows: 2048 }]);
  const one = trainingBytes(small, { shapes, severalBatches: false });
  expect(trainingBytes(small, { shapes, severalBatches: true }) - one).toBe(4 * small.parameters);
  const activations = one - 16 * small.parameters;
  // At least what any backward pass keeps of a layer, in 2,048 positions: 6 of hidden and 3 of intermediate size.
  expect(activations).toBeGreaterThan(4 * 2048 * 2 * (6 * 128 + 3 * 256));
  expect(trainingBytes(small, { shapes: [fullBatch(256, 1024)], severalBatches: false })).toBeLessThan(one);
  expect(leastTrainingBytes(small, 2048)).toBe(one);
});

test("every further shape keeps a session, and only the largest counts for activations", () => {
  const small = model(SMALL);
  const largest = fullBatch(256, 2048);
  const bytesOf = (shapes: readonly BatchShape[]) => trainingBytes(small, { shapes, severalBatches: false });
  const more = bytesOf([fullBatch(16, 64), largest, fullBatch(64, 64)]) - bytesOf([largest]);
  expect(more).toBeGreaterThan(2 * 2e6);
  expect(more).toBeLessThan(2 * 5e6);
});

test("a wide head adds a chunk of logits to training, not those of all rows", () => {
  const wide = 100_000;
  const [narrow, broad] = [SMALL, { ...SMALL, vocabulary: wide }].map((size) => {
    const built = model(size);
    const extent = { shapes: [fullBatch(1024, 1024)], severalBatches: false };
    return trainingBytes(built, extent) - 16 * built.parameters;
  }) as [number, number];
  const logits = 4 * 1024 * wide;
  // Two sums of the head's gradient, and three times the logits of 256 rows: as they are, softmax and gradient.
  expect(broad - narrow).toBeLessThan(2 * 4 * wide * 128 + 0.8 * logits);
});

test("teacher passes need all weights where they are resident, a layer and the states of a pass where they are not", () => {
  const deep = model(DEEP);
  const resident = teacherBytes(deep, 1024, "resident");
  const streamed = teacherBytes(deep, 1024, "streamed");
  expect(resident).toBeGreaterThan(4 * deep.parameters);
  expect(streamed - 4 * 32_768 * 576).toBeLessThan(resident - 3.5 * deep.parameters);
});

test("what training takes is stated before; the shape of the laboratory takes within 15 % of it", async () => {
  const script = resolve(import.meta.dirname, "../../../bench/training-memory.mjs");
  const { stdout } = await promisify(execFile)(process.execPath, [script, "--only", "laboratory"]);
  const ratio = Number(stdout.trim().split("\n").at(-1)!.split(" ").at(-1));
  expect(ratio).toBeGreaterThan(0.85);
  expect(ratio).toBeLessThan(1.15);
});

test("a training that will not fit is refused before anything is read", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-memory-"));
  const engine = await createOnnxEngine({ threads: 1 });
  try {
    const giant = { hidden: 65_536, layers: 2, heads: 64, intermediate: 262_144, vocabulary: 1000 };
    await writeFile(join(folder, "config.json"), JSON.stringify(config(giant)));
    await expect(engine.train(folder, ADAMW)).rejects.toThrow(
      /: training it needs \d+\.\d GB of memory, and \d+\.\d GB are available; close other programs, or use a machine/,
    );
  } finally {
    await engine.dispose();
    await rm(folder, { recursive: true, force: true });
  }
});
