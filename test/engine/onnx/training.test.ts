import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ADAMW, type Engine, type Trainer, type TrainSequence, type TrainStep } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";
import { copyModelFiles } from "#src/models/folder.js";
import { GOLDEN_MODELS, goldenFigures, goldenFolder, goldenRows, goldenSequences } from "./golden.ts";

let engine: Engine;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-training-"));
  engine = await createOnnxEngine({ threads: 2 });
});

afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** Clipping out of the way, so that the first mean is a tenth of the gradient. */
const UNCLIPPED = { ...ADAMW, clipNorm: 1e30 };

/** Plain fine-tuning rows of the golden conversations. */
function labelSequences(name: string, tail: number | null = null): TrainSequence[] {
  return goldenRows(name).map(({ ids, positions }) => ({
    ids,
    positions,
    targetId: Int32Array.from(positions, (position) => (ids[position]! + 1) % 400),
    targetProbability: new Float32Array(positions.length).fill(0.5),
    tailProbability: tail === null ? null : new Float32Array(positions.length).fill(tail),
  }));
}

const stepOf = (sequences: readonly TrainSequence[], learningRate = 1e-3, lambda = 0.9): TrainStep => ({
  sequences,
  lambda,
  learningRate,
});

/** Gradients by name, from the checkpoint of a trainer that took its first step unclipped. */
async function gradients(trainer: Trainer): Promise<Map<string, Float32Array>> {
  const path = join(folder, "gradients.safetensors");
  await trainer.saveCheckpoint(path);
  const { tensors } = await readSafetensors(path);
  return new Map(
    [...tensors]
      .filter(([name]) => name.startsWith("mean/"))
      .map(([name, { data }]) => [name.slice(5), (data as Float32Array).map((value) => value * 10)]),
  );
}

function expectGradients(
  found: Map<string, Float32Array>,
  name: string,
  wanted: Float32Array,
  tolerance: number,
): void {
  const gradient = found.get(name)!;
  let largest = 0;
  let difference = 0;
  for (const [index, value] of wanted.entries()) {
    largest = Math.max(largest, Math.abs(value));
    difference = Math.max(difference, Math.abs(value - gradient[index]!));
  }
  expect([name, difference <= tolerance * largest]).toEqual([name, true]);
}

describe.each(GOLDEN_MODELS)("%s", (name) => {
  test("has the reference's losses, gradient norm and gradients", async () => {
    const trainer = await engine.train(goldenFolder(name), UNCLIPPED);
    const result = await trainer.step(stepOf(await goldenSequences(name)));
    const figures = goldenFigures(name);
    expect(Math.abs(result.labelLoss - figures.label_loss)).toBeLessThan(2e-5);
    expect(Math.abs(result.fusionLoss - figures.sparse_loss)).toBeLessThan(2e-5);
    expect(Math.abs(result.gradientNorm / figures.grad_norm - 1)).toBeLessThan(1e-5);
    const found = await gradients(trainer);
    const { tensors } = await readSafetensors(resolve(goldenFolder(name), "golden.safetensors"));
    const wanted = [...tensors].filter(([tensor]) => tensor.startsWith("grad."));
    expect(wanted.length).toBe(found.size);
    // 5e-5 is the tolerance of the golden data; 2.5e-6 seen.
    for (const [tensor, { data }] of wanted) expectGradients(found, tensor.slice(5), data as Float32Array, 5e-5);
    await trainer.dispose();
  });
});

test("the tail bucket adds its own term to the fusion loss, watched also where lambda is 1", async () => {
  const sequences = labelSequences("mistral", 0.3).slice(0, 2);
  const trainer = await engine.train(goldenFolder("mistral"), UNCLIPPED);
  const before = await trainer.step(stepOf(sequences, 0, 0.5));
  const model = await engine.open(goldenFolder("mistral"));
  const { topId, topLogp } = await model.rows(sequences, model.vocabulary);
  let fusion = 0;
  let row = 0;
  for (const { positions, targetId } of sequences) {
    for (let n = 0; n < positions.length; n++, row++) {
      const place = topId.indexOf(targetId[n]!, row * model.vocabulary);
      const logp = topLogp[place]!;
      fusion -= 0.5 * logp + 0.3 * Math.log(Math.max(1 - Math.exp(logp), 1e-7));
    }
  }
  expect(before.rows).toBe(row);
  expect(Math.abs(before.fusionLoss - fusion / row)).toBeLessThan(2e-5);
  // At lambda 1 the fusion loss is watched only, and is the same.
  const watched = await engine.train(goldenFolder("mistral"), UNCLIPPED);
  const result = await watched.step(stepOf(sequences, 0, 1));
  expect(Math.abs(result.fusionLoss - before.fusionLoss)).toBeLessThan(2e-6);
  await Promise.all([trainer.dispose(), watched.dispose(), model.dispose()]);
});

test("a step is the same whether its rows fit one micro-batch or not", async () => {
  const few = labelSequences("mistral");
  const many = Array.from({ length: 8 }, () => few).flat();
  const single = await engine.train(goldenFolder("mistral"), UNCLIPPED);
  const repeated = await engine.train(goldenFolder("mistral"), UNCLIPPED);
  const a = await single.step(stepOf(few));
  // Eight times the same conversations: another number of micro-batches, the same mean.
  const b = await repeated.step(stepOf(many));
  expect(b.rows).toBe(8 * a.rows);
  expect(Math.abs(a.labelLoss - b.labelLoss)).toBeLessThan(1e-6);
  expect(Math.abs(a.gradientNorm / b.gradientNorm - 1)).toBeLessThan(1e-5);
  const [wanted, found] = [await gradients(single), await gradients(repeated)];
  for (const [name, gradient] of wanted) expectGradients(found, name, gradient, 2e-5);
  await Promise.all([single.dispose(), repeated.dispose()]);
});

test("training on the labels lowers their loss", async () => {
  const trainer = await engine.train(goldenFolder("llama"), ADAMW);
  const losses: number[] = [];
  for (let i = 0; i < 8; i++) losses.push((await trainer.step(stepOf(labelSequences("llama"), 3e-3, 1))).labelLoss);
  for (let i = 1; i < 8; i++) expect(losses[i]!).toBeLessThan(losses[i - 1]!);
  await trainer.dispose();
});

test("weight decay shrinks matrices alone when nothing else moves them", async () => {
  const trainer = await engine.train(goldenFolder("llama"), { ...ADAMW, weightDecay: 0.1 });
  // No coefficient, no gradient: only the decay is left.
  const sequences = labelSequences("llama").map((sequence) => ({
    ...sequence,
    targetProbability: new Float32Array(sequence.positions.length),
  }));
  const result = await trainer.step(stepOf(sequences, 0.5, 0));
  expect(result.gradientNorm).toBe(0);
  const out = await mkdtemp(join(folder, "decay-"));
  await trainer.saveWeights(out, "float32");
  const before = await readSafetensors(join(goldenFolder("llama"), "model.safetensors"));
  const after = await readSafetensors(join(out, "model.safetensors"));
  const matrix = "model.layers.0.self_attn.q_proj.weight";
  const old = await openWeights(goldenFolder("llama"));
  const wide = await old.float32(matrix);
  expect(after.tensors.get(matrix)!.data).toEqual(wide.map((value) => value * (1 - 0.5 * 0.1)));
  const vector = await old.float32("model.norm.weight");
  expect(after.tensors.get("model.norm.weight")!.data).toEqual(vector);
  expect(after.tensors.size).toBe(before.tensors.size);
  await trainer.dispose();
});

test("a checkpoint continues bit for bit, in a trainer opened anew", async () => {
  const sequences = labelSequences("qwen2");
  const straight = await engine.train(goldenFolder("qwen2"), ADAMW);
  const results: unknown[] = [];
  for (let i = 0; i < 2; i++) await straight.step(stepOf(sequences));
  await straight.saveCheckpoint(join(folder, "two.safetensors"));
  for (let i = 0; i < 2; i++) results.push(await straight.step(stepOf(sequences)));
  await straight.saveCheckpoint(join(folder, "four.safetensors"));

  const resumed = await engine.train(goldenFolder("qwen2"), ADAMW);
  await resumed.loadCheckpoint(join(folder, "two.safetensors"));
  const again: unknown[] = [];
  for (let i = 0; i < 2; i++) again.push(await resumed.step(stepOf(sequences)));
  await resumed.saveCheckpoint(join(folder, "again.safetensors"));
  expect(again).toEqual(results);
  const [wanted, found] = await Promise.all(
    ["four.safetensors", "again.safetensors"].map((name) => readFile(join(folder, name))),
  );
  expect(found!.equals(wanted!)).toBe(true);
  await Promise.all([straight.dispose(), resumed.dispose()]);
});

test("engines of as many threads train to the same bytes, others to the same numbers", async () => {
  const files: Buffer[] = [];
  const norms: number[] = [];
  for (const threads of [2, 2, 1]) {
    const other = await createOnnxEngine({ threads });
    const trainer = await other.train(goldenFolder("mistral"), ADAMW);
    for (let i = 0; i < 2; i++) norms.push((await trainer.step(stepOf(labelSequences("mistral", 0.2)))).gradientNorm);
    const path = join(folder, "threads.safetensors");
    await trainer.saveCheckpoint(path);
    files.push(await readFile(path));
    await other.dispose();
  }
  expect(files[0]!.equals(files[1]!)).toBe(true);
  // The runtime cuts a product of few rows by threads, which moves the block sums of long dot products: 1e-9 seen.
  expect(Math.abs(norms[1]! / norms[5]! - 1)).toBeLessThan(1e-6);
});

test("saved weights open as a model that computes what the trainer had", async () => {
  const trainer = await engine.train(goldenFolder("mistral"), ADAMW);
  await trainer.step(stepOf(labelSequences("mistral")));
  const expected = await trainer.step(stepOf(labelSequences("mistral"), 0));
  for (const [dtype, tolerance] of [
    ["float32", 1e-6],
    ["float16", 2e-3],
    ["bfloat16", 2e-2],
  ] as const) {
    const out = await mkdtemp(join(folder, "saved-"));
    await copyModelFiles(goldenFolder("mistral"), out);
    await trainer.saveWeights(out, dtype);
    const model = await engine.open(out);
    const { labelLogp } = await model.rows(labelSequences("mistral"), 1);
    const loss = -labelLogp.reduce((sum, logp) => sum + logp, 0) / labelLogp.length;
    expect(Math.abs(loss - expected.labelLoss)).toBeLessThan(tolerance);
    await model.dispose();
  }
  await trainer.dispose();
});

test("a checkpoint of another model, or no checkpoint, is refused by name and changes nothing", async () => {
  const trainer = await engine.train(goldenFolder("mistral"), ADAMW);
  const other = await engine.train(goldenFolder("llama"), ADAMW);
  const path = join(folder, "other.safetensors");
  await other.saveCheckpoint(path);
  await expect(trainer.loadCheckpoint(path)).rejects.toThrow(
    /other\.safetensors: "weight\/.*": expected F32 \[.*\], found .*; this checkpoint belongs to another model$/,
  );
  const model = join(goldenFolder("mistral"), "model.safetensors");
  await expect(trainer.loadCheckpoint(model)).rejects.toMatchObject({
    code: "input",
    message: `${model}: expected a checkpoint (fusechat-checkpoint-1), found "pt"`,
  });
  const result = await trainer.step(stepOf(labelSequences("mistral"), 0));
  const fresh = await engine.train(goldenFolder("mistral"), ADAMW);
  expect(await fresh.step(stepOf(labelSequences("mistral"), 0))).toEqual(result);
  await Promise.all([trainer.dispose(), other.dispose(), fresh.dispose()]);
});

test("a training that diverges stops before it spoils the weights", async () => {
  const trainer = await engine.train(goldenFolder("mistral"), ADAMW);
  const sequences = labelSequences("mistral");
  const poisoned = sequences.map((sequence) => ({
    ...sequence,
    targetProbability: new Float32Array(sequence.positions.length).fill(Number.POSITIVE_INFINITY),
  }));
  const before = await trainer.step(stepOf(sequences, 0));
  await expect(trainer.step(stepOf(poisoned))).rejects.toThrow(
    `${goldenFolder("mistral")}: the gradient of step 2 is not finite; lower the learning rate`,
  );
  expect(await trainer.step(stepOf(sequences, 0))).toEqual(before);
  await trainer.dispose();
});

test("a step without rows moves nothing and loses nothing", async () => {
  const trainer = await engine.train(goldenFolder("mistral"), ADAMW);
  expect(await trainer.step(stepOf([]))).toEqual({ rows: 0, labelLoss: 0, fusionLoss: 0, gradientNorm: 0 });
  await trainer.dispose();
});

test("a checkpoint that cannot be written is refused with its path", async () => {
  const trainer = await engine.train(goldenFolder("mistral"), ADAMW);
  const file = join(goldenFolder("mistral"), "config.json");
  const saved = trainer.saveCheckpoint(join(file, "x.safetensors"));
  await expect(saved).rejects.toThrow(`${file}: a part of this path is a file, not a folder`);
  await trainer.dispose();
});
