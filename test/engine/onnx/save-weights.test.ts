import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeWeights } from "#src/engine/onnx/save-weights.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-save-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const weights = [
  { name: "a", shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 1 / 3) },
  { name: "b", shape: [2], data: Float32Array.of(-1, 0.5) },
  { name: "c", shape: [4], data: Float32Array.of(9, 8, 7, 6) },
];

test("one file holds the weights in their order, marked as transformers expects", async () => {
  await writeWeights(folder, weights, "float32");
  const { tensors, metadata } = await readSafetensors(join(folder, "model.safetensors"));
  expect([...tensors.keys()]).toEqual(["a", "b", "c"]);
  expect(tensors.get("a")).toEqual({ dtype: "F32", shape: [2, 3], data: weights[0]!.data });
  expect(metadata).toEqual({ format: "pt" });
});

test("half precision is rounded to nearest", async () => {
  await writeWeights(folder, weights, "bfloat16");
  expect((await (await openWeights(folder)).float32("a"))[5]).toBe(0.333984375);
  await writeWeights(folder, weights, "float16");
  expect((await (await openWeights(folder)).float32("a"))[5]).toBe(0.333251953125);
});

test("shards stay below their size, and the index is what transformers reads", async () => {
  await writeWeights(folder, weights, "float32", { shardBytes: 32 });
  expect((await readdir(folder)).sort()).toEqual([
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
  ]);
  expect(JSON.parse(await readFile(join(folder, "model.safetensors.index.json"), "utf8"))).toEqual({
    metadata: { total_size: 48 },
    weight_map: {
      a: "model-00001-of-00002.safetensors",
      b: "model-00001-of-00002.safetensors",
      c: "model-00002-of-00002.safetensors",
    },
  });
  expect(await (await openWeights(folder)).float32("c")).toEqual(weights[2]!.data);
});

test("saving again in another form leaves nothing of the first", async () => {
  await writeWeights(folder, weights, "float32", { shardBytes: 16 });
  await writeWeights(folder, weights, "float32");
  expect(await readdir(folder)).toEqual(["model.safetensors"]);
  await writeWeights(folder, weights, "float32", { shardBytes: 32 });
  expect((await openWeights(folder)).files.length).toBe(2);
});

test("a weight too large for float16 is refused by name, and nothing is written", async () => {
  const large = [{ name: "w", shape: [2], data: Float32Array.of(1, -70000) }];
  await expect(writeWeights(folder, large, "float16")).rejects.toThrow(
    'model.safetensors: "w": element 1 is -70000, beyond the largest float16 (65504); write bfloat16 or float32',
  );
  expect(await readdir(folder)).toEqual([]);
});

test("a tensor of more than one block is written whole, and an overflow in a later block is told by its element", async () => {
  const data = Float32Array.from({ length: 2 ** 22 + 3 }, (_, i) => i % 97);
  await writeWeights(folder, [{ name: "a", shape: [data.length], data }], "bfloat16");
  expect((await (await openWeights(folder)).float32("a")).every((value, i) => value === i % 97)).toBe(true);
  data[2 ** 22 + 1] = 1e6;
  await expect(writeWeights(folder, [{ name: "a", shape: [data.length], data }], "float16")).rejects.toThrow(
    '"a": element 4194305 is 1000000, beyond the largest float16 (65504); write bfloat16 or float32',
  );
});
