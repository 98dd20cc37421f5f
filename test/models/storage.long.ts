/** Every family from every form in which its weights may be stored: three float types, one file or shards with an index. */
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { logitsProgram } from "#src/engine/onnx/programs/logits.js";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "#src/formats/float.js";
import { type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";
import { ARCHITECTURES, checkWeights, type Model, openModel } from "#src/models/index.js";
import { createRandom } from "#src/random.js";
import { type Feed, runGraph } from "../graph/run-graph.ts";

/** How a value is stored, and what it then is. */
const FORMS = {
  F32: { stored: (values: Float32Array) => values, read: (values: Float32Array) => values },
  BF16: {
    stored: (values: Float32Array) => float32ToBfloat16(values),
    read: (values: Float32Array) => bfloat16ToFloat32(float32ToBfloat16(values)),
  },
  F16: {
    stored: (values: Float32Array) => float32ToFloat16(values),
    read: (values: Float32Array) => float16ToFloat32(float32ToFloat16(values)),
  },
} as const;

type Dtype = keyof typeof FORMS;

const golden = (name: string): string => resolve(import.meta.dirname, "../golden/models", name);

let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "fusechat-storage-"));
});

afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

for (const { name } of ARCHITECTURES) {
  for (const dtype of Object.keys(FORMS) as Dtype[]) {
    test(`${name} in ${dtype}, in one file or in three, has the logits of its rounded weights`, async () => {
      const model = await openModel(golden(name));
      const source = await readWeights(golden(name), model);
      const rounded = new Map([...source].map(([key, values]) => [key, FORMS[dtype].read(values)]));
      const expected = await logits(model, rounded);
      for (const shards of [1, 3]) {
        const folder = await writeModel(model, source, dtype, shards);
        const opened = await openModel(folder);
        const found = await readWeights(folder, opened);
        for (const [key, values] of rounded) expect(Buffer.compare(bytes(found.get(key)!), bytes(values)), key).toBe(0);
        if (shards > 1) expect(await logits(opened, found)).toEqual(expected);
      }
    });
  }
}

/** Checked against the config, and widened to float32. */
async function readWeights(folder: string, model: Model): Promise<Map<string, Float32Array>> {
  const stored = await openWeights(folder);
  checkWeights(model, stored.tensors);
  const weights = new Map<string, Float32Array>();
  for (const { name } of model.shapes) weights.set(name, await stored.float32(name));
  return weights;
}

/** A folder with the config of a golden model and these weights. */
async function writeModel(
  model: Model,
  weights: ReadonlyMap<string, Float32Array>,
  dtype: Dtype,
  shards: number,
): Promise<string> {
  const folder = await mkdtemp(join(scratch, "model-"));
  await copyFile(join(model.folder, "config.json"), join(folder, "config.json"));
  const tensors = model.shapes.map(({ name: key, shape }): [string, Tensor] => [
    key,
    { dtype, shape, data: FORMS[dtype].stored(weights.get(key)!) },
  ]);
  if (shards === 1) {
    await writeSafetensors(join(folder, "model.safetensors"), tensors);
    return folder;
  }
  // One tensor each by turns, so that every layer is spread over all shards.
  const map: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${String(shard + 1).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}.safetensors`;
    const part = tensors.filter((_, index) => index % shards === shard);
    for (const [key] of part) map[key] = file;
    await writeSafetensors(join(folder, file), part);
  }
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: map }));
  return folder;
}

/** Of two sequences. */
async function logits(model: Model, weights: ReadonlyMap<string, Float32Array>) {
  const [batch, length] = [2, 21];
  const random = createRandom("ids");
  const ids = Int32Array.from({ length: batch * length }, () => random.integer(model.config.vocabularySize));
  const feeds: Record<string, Feed> = { ids: [ids, [batch, length]] };
  for (const { name, shape } of model.shapes) feeds[name] = [weights.get(name)!, shape];
  return (await runGraph(logitsProgram(model, { batch, length }), feeds)).logits!;
}

function bytes(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
