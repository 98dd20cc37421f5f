/** Broken inputs through the command: one clear sentence, exit code 2, and nothing left where the output should be. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mergeVerb } from "#src/cli/merge.js";
import { runCommandLine } from "#src/cli/program.js";
import { type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { memoryStreams } from "./memory-streams.ts";

const MATRIX = "model.layers.0.mlp.weight";
const NORM = "model.norm.weight";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-refusals-"));
  await writeModel("good", [matrix(), norm()]);
  const bytes = await readFile(join(folder, "good/model.safetensors"));
  await writeModel("nan", [matrix({ 7: Number.NaN }), norm()]);
  await writeModel("infinite", [matrix({ 2: Number.NEGATIVE_INFINITY }), norm()]);
  await writeModel("integers", [[MATRIX, { dtype: "I32", shape: [4, 3], data: new Int32Array(12) }], norm()]);
  await writeModel("empty", [[MATRIX, { dtype: "F32", shape: [0, 3], data: new Float32Array(0) }], norm()]);
  await writeFiles("cut", { "model.safetensors": bytes.subarray(0, -5) });
  await writeFiles("twice", {
    "model.safetensors": withHeader(
      `{"${NORM}":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"${NORM}":{"dtype":"F32","shape":[3],"data_offsets":[12,24]}}`,
      24,
    ),
  });
  await writeFiles("outside", { "model.safetensors.index.json": index({ [NORM]: "../good/model.safetensors" }) });
  await writeFiles("lacks-a-shard", {
    "model.safetensors.index.json": index({ [MATRIX]: "model-1.safetensors", [NORM]: "model-2.safetensors" }),
    "model-1.safetensors": await readFile(await written([matrix()])),
  });
  await writeFiles("shards-overlap", {
    "model.safetensors.index.json": index({ [MATRIX]: "model-1.safetensors", [NORM]: "model-2.safetensors" }),
    "model-1.safetensors": bytes,
    "model-2.safetensors": await readFile(await written([norm()])),
  });
  await writeFiles("cut-shard", {
    "model.safetensors.index.json": index({ [MATRIX]: "model-1.safetensors", [NORM]: "model-2.safetensors" }),
    "model-1.safetensors": (await readFile(await written([matrix()]))).subarray(0, -9),
    "model-2.safetensors": await readFile(await written([norm()])),
  });
  await writeFiles("pickled", { "pytorch_model.bin": Buffer.from("x") });
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function matrix(changed: Readonly<Record<number, number>> = {}): [string, Tensor] {
  const data = Float32Array.from({ length: 12 }, (_, i) => changed[i] ?? i / 10);
  return [MATRIX, { dtype: "F32", shape: [4, 3], data }];
}

function norm(): [string, Tensor] {
  return [NORM, { dtype: "F32", shape: [3], data: Float32Array.of(1, 1, 1) }];
}

async function writeModel(name: string, tensors: [string, Tensor][]): Promise<void> {
  await mkdir(join(folder, name));
  await writeFile(join(folder, name, "config.json"), "{}");
  await writeSafetensors(join(folder, name, "model.safetensors"), tensors);
}

async function writeFiles(name: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<void> {
  await mkdir(join(folder, name));
  await writeFile(join(folder, name, "config.json"), "{}");
  for (const [file, content] of Object.entries(files)) await writeFile(join(folder, name, file), content);
}

async function written(tensors: [string, Tensor][]): Promise<string> {
  const path = join(folder, "part.safetensors");
  await writeSafetensors(path, tensors);
  return path;
}

function withHeader(json: string, bytes: number): Uint8Array {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([size, Buffer.from(json), Buffer.alloc(bytes)]);
}

function index(map: Readonly<Record<string, string>>): string {
  return JSON.stringify({ metadata: {}, weight_map: map });
}

const REFUSALS: Readonly<Record<string, string>> = {
  nan: `nan/model.safetensors: "${MATRIX}": expected finite weights, found NaN or infinity at [2, 1]; look for another copy of the model, or merge with --repair`,
  infinite: `infinite/model.safetensors: "${MATRIX}": expected finite weights, found NaN or infinity at [0, 2]; look for another copy of the model, or merge with --repair`,
  integers: `integers: its weights are quantised ("${MATRIX}" is I32); merge the floating-point model that it was made from, or a dequantised copy`,
  empty: `"${MATRIX}": expected one shape, found [4, 3] in good and [0, 3] in empty`,
  cut: `cut/model.safetensors: "${NORM}": ends at byte 220 but the file has 215; the download is incomplete`,
  twice: `twice/model.safetensors: header at byte 8: the name "${NORM}" comes a second time, at byte 79`,
  outside: `outside/model.safetensors.index.json: weight_map."${NORM}": expected the name of a .safetensors file in this folder, found "../good/model.safetensors"`,
  "lacks-a-shard":
    "lacks-a-shard/model-2.safetensors: no such file, but model.safetensors.index.json lists it; the download is incomplete",
  "shards-overlap": `shards-overlap/model-1.safetensors: "${NORM}" is here, but model.safetensors.index.json says model-2.safetensors`,
  "cut-shard": `cut-shard/model-1.safetensors: "${MATRIX}": ends at byte 144 but the file has 135; the download is incomplete`,
  pickled:
    "pickled/pytorch_model.bin: pickled weights can run code when loaded and are never opened; convert them to safetensors (save_pretrained of transformers writes it)",
};

test.each(Object.entries(REFUSALS))("%s", async (name, message) => {
  const config = join(folder, `${name}.yaml`);
  await writeFile(config, `merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: good}, {model: ${name}}]\n`);
  const before = await readdir(folder);
  const streams = memoryStreams();
  const parameters = ["merge", config, "--out", join(folder, "out")];
  expect(await runCommandLine(parameters, streams, new AbortController().signal, [mergeVerb])).toBe(2);
  expect(streams.stderr.text.replaceAll(`${folder}/`, "")).toBe(`${message}\n`);
  expect(streams.stdout.text).toBe("");
  expect(await readdir(folder)).toEqual(before);
});
