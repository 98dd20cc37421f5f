/**
 * Every architecture against the logits and gradients of Hugging Face transformers on a small random checkpoint,
 * computed in float64 from the stored weights.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { logitsProgram } from "#src/engine/onnx/programs/logits.js";
import { rowsProgram } from "#src/engine/onnx/programs/rows.js";
import { trainingProgram } from "#src/engine/onnx/programs/training.js";
import { readJson } from "#src/formats/files.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";
import {
  ARCHITECTURES,
  checkWeights,
  isLongSequence,
  modelFromConfig,
  openModel,
  storedNames,
} from "#src/models/index.js";
import { type Feed, type Results, runGraph } from "../graph/run-graph.ts";

const LOGITS_TOLERANCE = 1e-4;
const LOSS_TOLERANCE = 2e-5;
/** Of a gradient tensor: its largest difference over its largest entry. */
const GRADIENT_TOLERANCE = 5e-5;
const LAMBDA = 0.9;
const GOLDEN = resolve(import.meta.dirname, "../golden/models");

/**
 * A folder for every architecture, and those of stretched positions: Llama's own (in three shards), YaRN, and LongRoPE in
 * a part of every head, of which sequences are longer than the original context.
 */
const FOLDERS = [...ARCHITECTURES.map(({ name }) => name), "llama3", "llama-yarn", "qwen2-yarn", "phi4-mini"];

/** Those that also have the config that transformers 5 writes for the same weights. */
const NEWER = FOLDERS.filter((name) => existsSync(join(GOLDEN, name, "config-5.json")));

test.each(NEWER)("%s is the same network by the config of transformers 5", async (name) => {
  const stored = await storedNames(await openWeights(join(GOLDEN, name)));
  const [older, newer] = await Promise.all(
    ["config.json", "config-5.json"].map(async (file) => {
      const path = join(GOLDEN, name, file);
      return modelFromConfig(join(GOLDEN, name), path, await readJson(path), stored);
    }),
  );
  expect(newer!.config).toEqual(older!.config);
  expect(newer!.shapes).toEqual(older!.shapes);
  for (const isLong of [false, true]) {
    const shape = { batch: 1, length: 24, isLong };
    expect(Buffer.compare(logitsProgram(newer!, shape).onnx, logitsProgram(older!, shape).onnx)).toBe(0);
  }
});

for (const name of FOLDERS) {
  describe(name, () => {
    test(`the logits of ${name} are those of transformers`, async () => {
      const { model, weights, batch, length, isLong, golden } = await open(name);
      const { logits } = await runGraph(logitsProgram(model, { batch, length, isLong }), {
        ...weights,
        ids: [golden.input_ids as Int32Array, [batch, length]],
      });
      const expected = golden.logits!;
      const { vocabularySize } = model.config;
      let largest = 0;
      for (let i = 0; i < expected.length; i++) {
        if (golden.attention_mask![Math.floor(i / vocabularySize)] === 0) continue;
        largest = Math.max(largest, Math.abs(logits![i]! - expected[i]!));
      }
      expect(largest).toBeLessThan(LOGITS_TOLERANCE);
    });

    test(`${name} continues greedily as transformers does`, async () => {
      const { folder, model, weights } = await open(name);
      const { greedy } = (await readJson(`${folder}/golden.json`)) as { greedy: { prompt: number[]; ids: number[] } };
      const ids = [...greedy.prompt, ...greedy.ids];
      const pass = async (isLong: boolean) => {
        const feeds = { ...weights, ids: [Int32Array.from(ids), [1, ids.length]] } satisfies Record<string, Feed>;
        return (await runGraph(logitsProgram(model, { batch: 1, length: ids.length, isLong }), feeds)).logits!;
      };
      // A position sees nothing after it: one pass over the whole answer has the logits of every step, one more of those at
      // which the sequence is a long one.
      const short = await pass(false);
      const long = model.config.rotary.long === null ? short : await pass(true);
      const { vocabularySize } = model.config;
      const next = greedy.ids.map((_, step) => {
        const read = greedy.prompt.length + step;
        const logits = isLongSequence(model.config, read) ? long : short;
        const row = logits.subarray((read - 1) * vocabularySize, read * vocabularySize);
        return row.indexOf(Math.max(...row));
      });
      expect(next).toEqual(greedy.ids);
    });

    test(`the most probable ids of ${name} and their log-probabilities are those of its logits`, async () => {
      const { model, weights, batch, length, isLong, golden } = await open(name);
      const seen = [...golden.attention_mask!.keys()].filter((place) => golden.attention_mask![place] === 1);
      // Long enough to be cut into chunks, and in no order.
      const places = Array.from({ length: 700 }, (_, row) => seen[(row * 37) % seen.length]!);
      const topK = 10;
      const found = await runGraph(rowsProgram(model, { batch, length, isLong, rows: places.length, topK }), {
        ...weights,
        ids: [golden.input_ids as Int32Array, [batch, length]],
        row_index: [Int32Array.from(places), [places.length]],
        label: [Int32Array.from(places, (place) => Math.max(0, golden.labels![place]!)), [places.length]],
      });
      let largest = 0;
      places.forEach((place, row) => {
        const logp = logSoftmax(golden.logits!, place, model.config.vocabularySize);
        const label = Math.max(0, golden.labels![place]!);
        largest = Math.max(largest, Math.abs(found.label_logp![row]! - logp[label]!));
        const descending = logp.toSorted((a, b) => b - a);
        for (let k = 0; k < topK; k++) {
          const id = found.top_id![row * topK + k]!;
          largest = Math.max(largest, Math.abs(found.top_logp![row * topK + k]! - descending[k]!));
          largest = Math.max(largest, Math.abs(logp[id]! - descending[k]!));
        }
      });
      expect(largest).toBeLessThan(LOGITS_TOLERANCE);
    });

    test(`loss and every gradient of ${name} are those of transformers`, async () => {
      const { folder, model, weights, batch, length, isLong, golden } = await open(name);
      const places = [...golden.loss_mask!.keys()].filter((place) => golden.loss_mask![place] === 1);
      // Three rows more than there are, to see that padded rows change nothing.
      const rows = places.length + 3;
      const width = 4;
      const feeds = {
        ids: [golden.input_ids as Int32Array, [batch, length]],
        row_index: [new Int32Array(rows), [rows]],
        label: [new Int32Array(rows), [rows]],
        label_weight: [new Float32Array(rows), [rows]],
        target_id: [new Int32Array(rows * width), [rows, width]],
        target_weight: [new Float32Array(rows * width), [rows, width]],
      } satisfies Record<string, Feed>;
      places.forEach((place, row) => {
        feeds.row_index[0][row] = place;
        feeds.label[0][row] = golden.labels![place]!;
        feeds.label_weight[0][row] = LAMBDA / places.length;
        for (let k = 0; k < width; k++) {
          feeds.target_id[0][row * width + k] = golden.target_id![place * width + k]!;
          feeds.target_weight[0][row * width + k] =
            ((1 - LAMBDA) * golden.target_prob![place * width + k]!) / places.length;
        }
      });
      const program = trainingProgram(model, { batch, length, isLong, rows, width, tail: false });
      const results = await runGraph(program, { ...weights, ...feeds });

      const expectedLoss = ((await readJson(`${folder}/golden.json`)) as { loss: number }).loss;
      expect(Math.abs(lossOf(results, feeds) - expectedLoss)).toBeLessThan(LOSS_TOLERANCE);

      const embedding = embeddingGradient(model, results, feeds.ids[0]);
      const errors: Record<string, number> = {};
      for (const { name: weight } of model.shapes) {
        const expected = golden[`grad.${weight}`]!;
        const found = weight === model.embedding ? embedding : results[`grad.${weight}`]!;
        errors[weight] = relativeError(found, expected);
      }
      expect(Object.keys(errors).length).toBe(Object.keys(golden).filter((key) => key.startsWith("grad.")).length);
      for (const [weight, error] of Object.entries(errors)) expect(error, weight).toBeLessThan(GRADIENT_TOLERANCE);
    });
  });
}

async function open(name: string) {
  const folder = join(GOLDEN, name);
  const model = await openModel(folder);
  const stored = await openWeights(folder);
  checkWeights(model, stored.tensors);
  const weights: Record<string, Feed> = {};
  for (const weight of model.shapes) weights[weight.name] = [await stored.float32(weight.name), weight.shape];
  const { tensors } = await readSafetensors(`${folder}/golden.safetensors`);
  const golden = Object.fromEntries(
    [...tensors].map(([key, tensor]) => [key, tensor.data as Float32Array | Int32Array | Uint8Array]),
  );
  const [batch, length] = tensors.get("input_ids")!.shape as [number, number];
  const mask = golden.attention_mask!;
  const kinds = Array.from({ length: batch }, (_, b) =>
    isLongSequence(model.config, [...mask.slice(b * length, (b + 1) * length)].filter((seen) => seen === 1).length),
  );
  expect(new Set(kinds).size).toBe(1);
  const isLong = kinds[0]!;
  return { folder, model, weights, batch, length, isLong, golden: golden as Record<string, Float32Array | Int32Array> };
}

function logSoftmax(logits: ArrayLike<number>, place: number, vocabulary: number): number[] {
  const row = Array.from({ length: vocabulary }, (_, id) => logits[place * vocabulary + id]!);
  const logSum = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return row.map((logit) => logit - logSum);
}

function lossOf(results: Results, feeds: { label_weight: Feed; target_weight: Feed }): number {
  let loss = 0;
  feeds.label_weight[0].forEach((weight, row) => {
    loss -= weight * results.label_logp![row]!;
  });
  feeds.target_weight[0].forEach((weight, place) => {
    loss -= weight * results.target_logp![place]!;
  });
  return loss;
}

function embeddingGradient(
  model: { embedding: string; config: { vocabularySize: number; hiddenSize: number } },
  results: Results,
  ids: Int32Array,
): Float64Array {
  const { vocabularySize, hiddenSize } = model.config;
  const sum = new Float64Array(vocabularySize * hiddenSize);
  results[`grad.${model.embedding}`]?.forEach((value, place) => {
    sum[place] = value;
  });
  ids.forEach((id, position) => {
    for (let j = 0; j < hiddenSize; j++) {
      sum[id * hiddenSize + j]! += results.grad_embedded![position * hiddenSize + j]!;
    }
  });
  return sum;
}

function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found.length).toBe(expected.length);
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(found[i]! - expected[i]!));
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  // An expert that no position chose has no gradient at all.
  return largest === 0 ? difference : difference / largest;
}
