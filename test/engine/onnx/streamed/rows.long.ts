import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ADAMW, type Engine, type RowBatch, type Sequence } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { loadModel } from "#src/engine/onnx/loaded-model.js";
import { createNativeGate } from "#src/engine/onnx/native-gate.js";
import { loadRuntime, type Runtime } from "#src/engine/onnx/runtime.js";
import { streamedNetwork } from "#src/engine/onnx/streamed/network.js";
import { computeStreamedLogits, computeStreamedRows } from "#src/engine/onnx/streamed/rows.js";
import { openWeightStream } from "#src/engine/onnx/streamed/weights.js";
import { packSequences } from "#src/engine/packed.js";
import { float32ToBfloat16, float32ToFloat16 } from "#src/formats/float.js";
import { readSafetensors, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";
import { openModel } from "#src/models/index.js";
import { createRandom } from "#src/random.js";
import { GOLDEN_MODELS, goldenFolder } from "../golden.ts";

let resident: Engine;
let streaming: Engine;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-streamed-"));
  resident = await createOnnxEngine({ threads: 2 });
  streaming = await createOnnxEngine({ threads: 2, residentBytes: 0 });
});

afterAll(async () => {
  await resident.dispose();
  await streaming.dispose();
  await rm(folder, { recursive: true, force: true });
});

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0);
}

/** Texts of different lengths, one without rows, with all labels or every third. */
function sequences(vocabulary: number, lengths: readonly number[]): Sequence[] {
  const random = createRandom("streamed");
  return lengths.map((length, s) => ({
    ids: Int32Array.from({ length }, () => random.integer(vocabulary)),
    positions: Int32Array.from({ length: Math.ceil((length - 1) / (1 + (s % 3))) }, (_, i) => 1 + i * (1 + (s % 3))),
  }));
}

function expectSameRows(found: RowBatch, expected: RowBatch, topK: number): void {
  // The same products, but sums over the vocabulary are added up otherwise: 1e-6 seen.
  expect(largestDifference(found.labelLogp, expected.labelLogp)).toBeLessThan(2e-5);
  expect(largestDifference(found.topLogp, expected.topLogp)).toBeLessThan(2e-5);
  for (let i = 0; i < found.topId.length; i++) {
    if (found.topId[i] === expected.topId[i]) continue;
    // Ids closer than the tolerance may change places, or fall off the end.
    const next = i % topK === topK - 1 ? i - 1 : i + 1;
    expect(Math.abs(expected.topLogp[i]! - expected.topLogp[next]!)).toBeLessThan(1e-3);
  }
}

describe.each(GOLDEN_MODELS)("%s, layer by layer", (name) => {
  test("has the distributions and logits of the whole network", async () => {
    const [a, b] = [await resident.open(goldenFolder(name)), await streaming.open(goldenFolder(name))];
    const batch = sequences(a.vocabulary, [90, 17, 200, 5, 64, 33, 90]);
    expectSameRows(await b.rows(batch, 10), await a.rows(batch, 10), 10);
    const { ids } = batch[2]!;
    expect(largestDifference(await b.logits(ids), await a.logits(ids))).toBeLessThan(2e-5);
    await a.dispose();
    await b.dispose();
  });
});

describe("a stream of weights", () => {
  let runtime: Runtime;
  beforeAll(async () => {
    process.env.ORT_DISABLE_TELEMETRY = "1";
    runtime = await loadRuntime(2, createNativeGate());
  });

  async function stream(name: string, headBlockBytes: number) {
    const model = await openModel(goldenFolder(name));
    const weights = openWeightStream(model, await openWeights(model.folder), runtime, headBlockBytes);
    return { model, weights, network: streamedNetwork(model, weights, runtime) };
  }

  test("gives the same rows in blocks of the vocabulary and in passes of any size", async () => {
    const whole = await resident.open(goldenFolder("llama"));
    const { vocabulary } = whole;
    const batch = sequences(vocabulary, [300, 280, 260, 240, 20, 19, 18, 300]);
    const expected = await whole.rows(batch, 10);
    const packed = () => packSequences(batch, { folder: "", vocabulary, maxPositions: null });
    // 7 ids a block, fewer than are kept; and passes of one micro-batch each.
    const streamed = await stream("llama", 4 * 7 * 64);
    expect(streamed.weights.headRows).toBe((7 * 64) / streamed.model.config.hiddenSize);
    const small = await computeStreamedRows(streamed, runtime, packed(), 10, 1);
    expectSameRows(small, expected, 10);
    expect(await computeStreamedRows(streamed, runtime, packed(), 10)).toEqual(small);
    const ids = batch[0]!.ids;
    const logits = await computeStreamedLogits(streamed, runtime, ids);
    expect(largestDifference(logits, await whole.logits(ids))).toBeLessThan(2e-5);
    await whole.dispose();
  });

  test("keeps its results when a smaller pass has used the same memory", async () => {
    const streamed = await stream("qwen2", 2 ** 20);
    const { vocabularySize: vocabulary } = streamed.model.config;
    const rows = (lengths: readonly number[]) => {
      const packed = packSequences(sequences(vocabulary, lengths), { folder: "", vocabulary, maxPositions: null });
      return computeStreamedRows(streamed, runtime, packed, 5);
    };
    const once = await rows([100, 50, 70]);
    await rows([20]);
    expect(await rows([100, 50, 70])).toEqual(once);
  });

  test.each([
    ["llama", 1],
    ["gemma2", 2],
  ])("has one session a shape for the layers of %s, which are of %i kinds", async (name, kinds) => {
    const keys = new Set<string>();
    const session: Runtime["session"] = (key, build) => {
      keys.add(key);
      return runtime.session(key, build);
    };
    const counting: Runtime = { ...runtime, session };
    const model = await openModel(goldenFolder(name));
    const weights = openWeightStream(model, await openWeights(model.folder), counting);
    const network = streamedNetwork(model, weights, counting);
    expect(model.config.layers).toBeGreaterThan(kinds);
    const { vocabularySize: vocabulary } = model.config;
    const packed = packSequences(sequences(vocabulary, [70]), { folder: "", vocabulary, maxPositions: null });
    await computeStreamedRows({ model, weights, network }, counting, packed, 5);
    expect([...keys].filter((key) => key.includes(": layer ")).length).toBe(kinds);
  });

  test("loads all weights where they are asked for", async () => {
    const loaded = await loadModel(goldenFolder("llama"), runtime, 0);
    expect(loaded.streamed).not.toBeNull();
    expect(loaded.weights.size).toBe(0);
    const [inputs, again] = await Promise.all([loaded.resident("rows"), loaded.resident("rows")]);
    expect(again).toBe(inputs);
    expect([...loaded.weights.keys()]).toEqual(loaded.model.shapes.map(({ name }) => name));
    const all = await loadModel(goldenFolder("llama"), runtime, 4 * loaded.model.parameters);
    expect(all.streamed).toBeNull();
    expect(all.weights).toEqual(loaded.weights);
  });
});

describe("a model that will not fit", () => {
  /** 550 GB in single precision; its file is a header and a hole. */
  async function vast(): Promise<string> {
    const path = join(folder, "vast");
    await mkdir(path, { recursive: true });
    const config = JSON.parse(await readFile(join(goldenFolder("llama"), "config.json"), "utf8"));
    // 34 thousand million parameters, nearly all of them the embedding.
    Object.assign(config, { vocab_size: 2 ** 22, hidden_size: 8192, tie_word_embeddings: true });
    await writeFile(join(path, "config.json"), JSON.stringify(config));
    const header: Record<string, unknown> = {};
    let end = 0;
    for (const { name, shape } of (await openModel(path)).shapes) {
      const begin = end;
      end += shape.reduce((product, extent) => product * extent, 2);
      header[name] = { dtype: "BF16", shape, data_offsets: [begin, end] };
    }
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const file = join(path, "model.safetensors");
    await writeFile(file, Buffer.concat([length, json]));
    await truncate(file, 8 + json.length + end);
    return path;
  }

  test("is refused with what it needs before it is loaded, for all but teacher passes", async () => {
    const path = await vast();
    const message =
      /vast: (training it|holding its weights in single precision) needs \d+\.\d GB of memory, and \d+\.\d GB are/;
    await expect(resident.train(path, ADAMW)).rejects.toThrow(message);
    const model = await resident.open(path);
    const options = { maxTokens: 1, stopIds: [], temperature: 0, topP: 1, topK: 0, seed: "" };
    await expect(model.generate([Int32Array.of(1)], options)).rejects.toThrow(message);
    await model.dispose();
  });
});

/** A copy of a golden model with its weights changed. */
async function changed(name: string, from: string, change: (tensors: Map<string, Tensor>) => void): Promise<string> {
  const to = join(folder, name);
  await cp(goldenFolder(from), to, { recursive: true });
  const file = join(to, "model.safetensors");
  const { tensors, metadata } = await readSafetensors(file);
  const own = new Map(tensors);
  change(own);
  await writeSafetensors(file, own, metadata);
  return to;
}

describe("weights as they are stored", () => {
  test.each(["BF16", "F16"] as const)("%s is widened on the way", async (dtype) => {
    const narrow = dtype === "BF16" ? float32ToBfloat16 : float32ToFloat16;
    const path = await changed(dtype, "mistral", (tensors) => {
      for (const [name, { shape, data }] of tensors) {
        tensors.set(name, { dtype, shape, data: narrow(data as Float32Array) });
      }
    });
    const [a, b] = [await resident.open(path), await streaming.open(path)];
    const batch = sequences(a.vocabulary, [70, 30]);
    expectSameRows(await b.rows(batch, 5), await a.rows(batch, 5), 5);
  });

  test("shards are read where their tensors lie", async () => {
    const path = await changed("sharded", "qwen2", () => {});
    const { tensors } = await readSafetensors(join(path, "model.safetensors"));
    const parts = [0, 1, 2].map((part) => [...tensors].filter((_, n) => n % 3 === part));
    const files: Record<string, string> = {};
    for (const [part, own] of parts.entries()) {
      const file = `model-0000${part + 1}-of-00003.safetensors`;
      await writeSafetensors(join(path, file), own);
      for (const [name] of own) files[name] = file;
    }
    await writeFile(join(path, "model.safetensors.index.json"), JSON.stringify({ weight_map: files }));
    await rm(join(path, "model.safetensors"));
    const [a, b] = [await resident.open(goldenFolder("qwen2")), await streaming.open(path)];
    const batch = sequences(a.vocabulary, [70, 30]);
    expectSameRows(await b.rows(batch, 5), await a.rows(batch, 5), 5);
  });

  test.each([
    ["a layer", "model.layers.1.mlp.up_proj.weight", 7],
    ["the last normalisation", "model.norm.weight", 3],
    ["the head", "lm_head.weight", 1234],
  ])("NaN in %s is refused when it is first read, by file, tensor and element", async (what, name, element) => {
    const path = await changed(`broken ${what}`, "mistral", (tensors) => {
      (tensors.get(name)!.data as Float32Array)[element] = Number.NaN;
    });
    const model = await streaming.open(path);
    const file = join(path, "model.safetensors");
    const message = `${file}: "${name}": expected finite weights, found NaN at element ${element}; the model is damaged`;
    await expect(model.rows(sequences(model.vocabulary, [20]), 3)).rejects.toThrow(message);
  });

  test("a row of the embedding that is not finite is refused when a text has its token", async () => {
    let width = 0;
    const path = await changed("broken embedding", "mistral", (tensors) => {
      const { data, shape } = tensors.get("model.embed_tokens.weight")!;
      width = shape[1]!;
      (data as Float32Array)[9 * width + 2] = -Infinity;
    });
    const model = await streaming.open(path);
    const text = (ids: readonly number[]) => [{ ids: Int32Array.from(ids), positions: Int32Array.of(1) }];
    expect((await model.rows(text([5, 6]), 1)).labelLogp.length).toBe(1);
    await expect(model.rows(text([5, 9, 5]), 1)).rejects.toThrow(`found -Infinity at element ${9 * width + 2}`);
  });
});

test("a streamed model's drawn rows are those of a resident one", async () => {
  const [one, other] = [await resident.open(goldenFolder("mistral")), await streaming.open(goldenFolder("mistral"))];
  const random = createRandom("streamed drawn rows");
  const drawn = sequences(one.vocabulary, [30, 7, 1, 55]).map((sequence) => ({
    ...sequence,
    uniform: Float32Array.from(sequence.positions, () => random.integer(2 ** 24) / 2 ** 24),
  }));
  const [a, b] = [await one.rows(drawn, 10), await other.rows(drawn, 10)];
  // A place within 1e-6 of a boundary may fall to either side: none does here.
  expect(b.topId).toEqual(a.topId);
  expect(
    largestDifference(Float32Array.from(b.topLogp, Math.exp), Float32Array.from(a.topLogp, Math.exp)),
  ).toBeLessThan(1e-6);
  await one.dispose();
  await other.dispose();
});
