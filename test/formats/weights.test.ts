import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { float16ToFloat32 } from "#src/formats/float.js";
import { writeSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";

const models = resolve("test/golden/models");
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-weights-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const one = (value: number) => ({ dtype: "F32", shape: [1], data: Float32Array.of(value) }) as const;

/** Shards of one-element tensors and the index that lists them as told. */
async function shards(files: Record<string, string[]>, weightMap: Record<string, unknown>): Promise<void> {
  for (const [file, names] of Object.entries(files)) {
    await writeSafetensors(
      join(folder, file),
      names.map((name) => [name, one(1)] as const),
    );
  }
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
}

const refusal = async (): Promise<string> => {
  try {
    await openWeights(folder);
  } catch (error) {
    expect(error).toMatchObject({ code: "input" });
    return (error as Error).message.replaceAll(folder, "FOLDER");
  }
  throw new Error("was not refused");
};

test("one file and shards are read alike, and hashed in the order of names", async () => {
  const single = await openWeights(join(models, "mistral"));
  expect(single.files).toEqual([join(models, "mistral/model.safetensors")]);
  const sharded = await openWeights(join(models, "llama3"));
  expect(sharded.files.length).toBe(3);
  const hash = createHash("sha256");
  for (const file of sharded.files) hash.update(await readFile(file));
  expect(await sharded.sha256()).toBe(hash.digest("hex"));
  const info = sharded.tensors.get("model.norm.weight")!;
  expect((await sharded.float32("model.norm.weight")).length).toBe(info.shape[0]);
});

test("16-bit weights are widened exactly", async () => {
  await writeSafetensors(join(folder, "model.safetensors"), [
    ["half", { dtype: "F16", shape: [2], data: Uint16Array.of(0x3555, 0xc000) }],
    ["brain", { dtype: "BF16", shape: [1], data: Uint16Array.of(0x3eab) }],
    ["double", { dtype: "F64", shape: [1], data: Float64Array.of(0.1) }],
    ["count", { dtype: "I32", shape: [1], data: Int32Array.of(1) }],
  ]);
  const weights = await openWeights(folder);
  expect(Array.from(await weights.float32("half"))).toEqual([0.333251953125, -2]);
  expect(Array.from(await weights.float32("brain"))).toEqual([0.333984375]);
  expect(Array.from(await weights.float32("double"))).toEqual([Math.fround(0.1)]);
  await expect(weights.float32("count")).rejects.toThrow('"count": expected floating-point weights, found I32');
  await expect(weights.float32("absent")).rejects.toThrow(`${folder}: the tensor "absent" is missing`);
});

/** Bit by bit, and faster than comparing elements. */
function expectSame(a: Float32Array, b: Float32Array): void {
  const bytes = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  expect(bytes(a).equals(bytes(b))).toBe(true);
}

test("a part of a tensor is read into given memory, in pieces or row by row", async () => {
  // More than the 4 MB that are widened at a time.
  const count = 3 * 2 ** 20 + 5;
  const patterns = Uint16Array.from({ length: count }, (_, i) => 0x3c00 + (i % 1000));
  const values = Float64Array.from(patterns, (_, i) => i);
  const matrix = Uint16Array.of(0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0);
  await writeSafetensors(join(folder, "model.safetensors"), [
    ["half", { dtype: "F16", shape: [count], data: patterns }],
    ["single", { dtype: "F32", shape: [count], data: Float32Array.from(values) }],
    ["double", { dtype: "F64", shape: [count], data: values }],
    ["matrix", { dtype: "BF16", shape: [3, 2], data: matrix }],
  ]);
  const weights = await openWeights(folder);
  const memory = new Float32Array(count + 2).fill(-1);
  const into = memory.subarray(1, count + 1);
  await weights.read("half", into);
  expectSame(into, float16ToFloat32(patterns));
  for (const name of ["single", "double"]) {
    await weights.read(name, into);
    expectSame(into, Float32Array.from(values));
    await weights.read(name, into.subarray(0, 3), count - 3);
    expect([...into.subarray(0, 4)]).toEqual([count - 3, count - 2, count - 1, 3]);
  }
  expect([memory[0], memory.at(-1)]).toEqual([-1, -1]);
  const rows = new Float32Array(8);
  await weights.readRows("matrix", [2, 0, 2, 1], rows);
  expect([...rows]).toEqual([5, 6, 1, 2, 5, 6, 3, 4]);
  await truncate(join(folder, "model.safetensors"), 1000);
  await expect(weights.read("half", into)).rejects.toThrow(
    /"half": the file ends before byte \d+; it was cut after it was opened/,
  );
});

test("pickled weights are refused with advice and never opened", async () => {
  await writeFile(join(folder, "pytorch_model.bin"), "cos\nsystem\n");
  const problem =
    "pickled weights can run code when loaded and are never opened; " +
    "convert them to safetensors (save_pretrained of transformers writes it)";
  expect(await refusal()).toBe(`FOLDER/pytorch_model.bin: ${problem}`);
  for (const name of ["pytorch_model-00001-of-00002.bin", "consolidated.00.pth", "model.pt", "model.ckpt"]) {
    await rm(folder, { recursive: true });
    await mkdir(folder);
    await writeFile(join(folder, name), "cos\nsystem\n");
    expect(await refusal()).toBe(`FOLDER/${name}: ${problem}`);
  }
});

test("a folder without weights, or none at all, is refused", async () => {
  expect(await refusal()).toBe("FOLDER: expected model.safetensors or model.safetensors.index.json, found neither");
  await expect(openWeights(join(folder, "none"))).rejects.toThrow(`${folder}/none: no such file or folder`);
});

test("an index may name nothing but plain files of its folder", async () => {
  for (const name of ["../a.safetensors", "/a.safetensors", "sub/a.safetensors", "a\\b.safetensors", "a.bin", 7]) {
    await shards({}, { w: name });
    expect(await refusal()).toContain(
      `weight_map."w": expected the name of a .safetensors file in this folder, found ${JSON.stringify(name)}`,
    );
  }
  await writeFile(join(folder, "model.safetensors.index.json"), "[]");
  expect(await refusal()).toContain('expected an object with a "weight_map"');
  await shards({}, {});
  expect(await refusal()).toContain("weight_map lists no tensors");
});

test("an index and shards that disagree are refused by tensor and file", async () => {
  await shards({ "a.safetensors": ["x"] }, { x: "a.safetensors", y: "b.safetensors" });
  expect(await refusal()).toBe(
    "FOLDER/b.safetensors: no such file, but model.safetensors.index.json lists it; the download is incomplete",
  );
  await shards({ "b.safetensors": ["y", "x"] }, { x: "a.safetensors", y: "b.safetensors" });
  expect(await refusal()).toBe(
    'FOLDER/b.safetensors: "x" is also in FOLDER/a.safetensors; one of the shards is foreign',
  );
  await shards({ "b.safetensors": ["y", "z"] }, { x: "a.safetensors", y: "b.safetensors" });
  expect(await refusal()).toContain('FOLDER/b.safetensors: "z" is not listed in model.safetensors.index.json');
  await shards({ "a.safetensors": ["y"], "b.safetensors": ["x"] }, { x: "a.safetensors", y: "b.safetensors" });
  expect(await refusal()).toBe(
    'FOLDER/a.safetensors: "y" is here, but model.safetensors.index.json says b.safetensors',
  );
});

test("tensors that the index lists and no shard holds are told, and missed by who needs them", async () => {
  await shards({ "a.safetensors": ["x"] }, { x: "a.safetensors", y: "a.safetensors" });
  const weights = await openWeights(folder);
  expect([...weights.tensors.keys()]).toEqual(["x"]);
  expect(weights.absent).toEqual(["y"]);
  await expect(weights.float32("y")).rejects.toThrow('the tensor "y" is missing');
});

test("a folder with both forms of weights is refused, since only one can be meant", async () => {
  await shards({ "a.safetensors": ["x"] }, { x: "a.safetensors" });
  await writeSafetensors(join(folder, "model.safetensors"), [["x", one(2)]]);
  expect(await refusal()).toContain("holds both model.safetensors and model.safetensors.index.json");
});
