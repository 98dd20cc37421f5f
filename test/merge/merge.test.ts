/** The stage: what it refuses and leaves behind, shards, tied heads, dtypes. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32ToBfloat16 } from "#src/formats/float.js";
import { readSafetensors, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";
import type { MergeConfig } from "#src/merge/config.js";
import { mergeModels } from "#src/merge/merge.js";
import type { ReporterEvent } from "#src/reporter.js";
import { silent } from "#src/reporter.js";

let folder: string;
let number = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-stage-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const float32 = (shape: number[], values: number[]): Tensor => ({
  dtype: "F32",
  shape,
  data: Float32Array.from(values),
});
const bfloat16 = (shape: number[], values: number[]): Tensor => ({
  dtype: "BF16",
  shape,
  data: float32ToBfloat16(Float32Array.from(values)),
});

async function model(name: string, tensors: Record<string, Tensor>): Promise<void> {
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, name, "config.json"), JSON.stringify({ model_type: "llama", torch_dtype: "float32" }));
  await writeSafetensors(join(folder, name, "model.safetensors"), Object.entries(tensors));
}

const average = (...models: string[]): MergeConfig => ({
  merge_method: "linear",
  models: models.map((name) => ({ model: name })),
  parameters: { weight: 1 },
});

async function merge(
  config: MergeConfig,
  options: { shardBytes?: number; repair?: boolean; signal?: AbortSignal } = {},
) {
  const out = join(folder, `out-${number++}`);
  const { signal, ...rest } = options;
  const events: ReporterEvent[] = [];
  const reporter = { report: (event: ReporterEvent) => void events.push(event) };
  const summary = await mergeModels(
    config,
    { out, baseFolder: folder, ...rest },
    { reporter, ...(signal && { signal }) },
  );
  return { out, summary, events };
}

/** The message of a merge that is refused; nothing may be left of it. */
async function refusal(config: MergeConfig): Promise<string> {
  const before = await readdir(folder);
  const message = await merge(config).then(
    () => "not refused",
    (error: Error) => error.message.replaceAll(`${folder}/`, ""),
  );
  expect(await readdir(folder)).toEqual(before);
  return message;
}

describe("refused by name", () => {
  test("a missing tensor", async () => {
    await model("whole", { a: float32([1], [1]), b: float32([1], [1]), c: float32([1], [1]) });
    await model("part", { a: float32([1], [1]) });
    expect(await refusal(average("whole", "part"))).toBe(
      'part: expected the tensor "b" of whole, found none, nor 1 more tensors of it',
    );
  });

  test("a shape that differs", async () => {
    await model("tall", { a: float32([2, 1], [1, 2]) });
    await model("wide", { a: float32([1, 2], [1, 2]) });
    expect(await refusal(average("tall", "wide"))).toBe(
      '"a": expected one shape, found [2, 1] in tall and [1, 2] in wide',
    );
  });

  test("a NaN and an infinity, with their place", async () => {
    await model("sound", { a: float32([2, 2], [1, 2, 3, 4]) });
    await model("nan", { a: float32([2, 2], [1, 2, Number.NaN, 4]) });
    await model("infinite", { a: bfloat16([2, 2], [1, Number.POSITIVE_INFINITY, 3, 4]) });
    expect(await refusal(average("sound", "nan"))).toBe(
      'nan/model.safetensors: "a": expected finite weights, found NaN or infinity at [1, 0]; look for another copy of the model, or merge with --repair',
    );
    expect(await refusal(average("infinite", "sound"))).toBe(
      'infinite/model.safetensors: "a": expected finite weights, found NaN or infinity at [0, 1]; look for another copy of the model, or merge with --repair',
    );
  });

  test("a model that is not there, and a file cut short", async () => {
    expect(await refusal(average("absent"))).toMatch(/^"absent": expected a model folder, found none at absent or /);
    await model("cut", { a: float32([2], [1, 2]) });
    const path = join(folder, "cut/model.safetensors");
    await writeFile(path, (await readFile(path)).subarray(0, -4));
    expect(await refusal(average("cut"))).toContain("cut/model.safetensors");
  });

  test("values that the output cannot hold", async () => {
    await model("large", { a: float32([2], [1, 1e6]) });
    expect(await refusal({ ...average("large"), out_dtype: "float16" })).toBe(
      '"a": entry 1 of 2 does not fit into float16; choose a wider dtype',
    );
    expect(await refusal({ ...average("large"), dtype: "float16" })).toBe(
      'large/model.safetensors: "a": expected finite weights, found a value too large for float16 at [1]; choose a wider dtype',
    );
  });

  test("models without a single tensor", async () => {
    await model("void", {});
    expect(await refusal(average("void"))).toBe("void: expected weights to merge, found no tensors");
  });

  test("a name of the Hub, with what to do", async () => {
    expect(await refusal(average("org/name-7B-v0.1"))).toMatch(
      /^"org\/name-7B-v0\.1": expected a model folder, .*; a model of the Hub has to be downloaded first$/,
    );
  });

  test("a folder with other files, which stay", async () => {
    await model("one", { a: float32([1], [1]) });
    const out = join(folder, "taken");
    await mkdir(out);
    await writeFile(join(out, "thesis.txt"), "mine");
    await expect(mergeModels(average("one"), { out, baseFolder: folder }, { reporter: silent })).rejects.toThrow(
      `${out}: the folder exists and holds other files; choose another one or remove it`,
    );
    expect(await readdir(out)).toEqual(["thesis.txt"]);
  });
});

describe("with repair, NaN and infinite entries", () => {
  const bad = [1, Number.NaN, Number.POSITIVE_INFINITY, 4];

  test("are the base's, with a warning, and the record and the card tell of them", async () => {
    await model("origin", { a: float32([4], [1, 2, 3, 4]), b: float32([1], [5]) });
    await model("broken", { a: float32([4], bad), b: float32([1], [7]) });
    await model("whole-four", { a: float32([4], [3, 4, 5, 6]), b: float32([1], [9]) });
    const config: MergeConfig = {
      merge_method: "task_arithmetic",
      base_model: "origin",
      models: [{ model: "broken" }, { model: "whole-four" }],
      parameters: { weight: 0.5 },
    };
    const { out, events } = await merge(config, { repair: true });
    const { tensors } = await readSafetensors(join(out, "model.safetensors"));
    expect([...tensors.get("a")!.data]).toEqual([2, 3, 4, 5]);
    expect([...tensors.get("b")!.data]).toEqual([8]);
    expect(events).toContainEqual({
      type: "warning",
      stage: "merge",
      message: 'broken: NaN and infinite entries were replaced, 2 of them, in "a"',
    });
    const record = JSON.parse(await readFile(join(out, "merge.json"), "utf8"));
    expect(record.tensors[0].repaired).toEqual([2, 0, 0]);
    expect(record.tensors[1].repaired).toBeUndefined();
    expect(await readFile(join(out, "README.md"), "utf8")).toContain("| `broken` | `a` | 2 |");
  });

  test("are the mean of the other models without a base, rounded as these are", async () => {
    await model("broken-too", { a: float32([4], bad) });
    await model("small", { a: float32([4], [1, 1.001, 1.001, 1]) });
    const { out } = await merge({ ...average("broken-too", "small"), dtype: "bfloat16" }, { repair: true });
    const { tensors } = await readSafetensors(join(out, "model.safetensors"));
    // 1 in bfloat16, and 2.5 as the mean of 4 and 1.
    expect([...tensors.get("a")!.data]).toEqual([0x3f80, 0x3f80, 0x3f80, 0x4020]);
  });

  test("are not those that a dtype is too narrow for", async () => {
    await model("too-large", { a: float32([2], [Number.NaN, 1e6]) });
    const out = join(folder, `out-${number++}`);
    const options = { out, baseFolder: folder, repair: true };
    const merging = mergeModels({ ...average("too-large"), dtype: "float16" }, options, { reporter: silent });
    await expect(merging).rejects.toThrow(/found a value too large for float16 at \[1\]; choose a wider dtype$/);
  });

  test("of a tensor of several blocks are counted once", async () => {
    const size = 3_000_000;
    const values = Array.from({ length: size }, (_, i) => (i % 1_000_000 === 7 ? Number.NaN : i / size));
    await model("long-base", { a: float32([size], Array(size).fill(0)) });
    await model("long-broken", { a: float32([size], values) });
    const config: MergeConfig = {
      merge_method: "ties",
      base_model: "long-base",
      models: [{ model: "long-broken" }],
      parameters: { weight: 1, density: 0.5 },
    };
    const { out } = await merge(config, { repair: true });
    const record = JSON.parse(await readFile(join(out, "merge.json"), "utf8"));
    expect(record.tensors[0].repaired).toEqual([3, 0]);
  });
});

test("a gradient with more values than layers is merged, with a warning", async () => {
  await model("deep", { "layers.0.w": float32([1], [1]), "layers.1.w": float32([1], [1]) });
  const config = { ...average("deep"), parameters: { weight: [1, 2, 3] } };
  const { events } = await merge(config);
  expect(events).toContainEqual({
    type: "warning",
    stage: "merge",
    message: "weight has 3 values for 2 layers; those between the layers are never met",
  });
});

test("an interrupted merge leaves nothing behind", async () => {
  await model("still", { a: float32([1], [1]) });
  const before = await readdir(folder);
  const aborted = new AbortController();
  aborted.abort();
  await expect(merge(average("still"), { signal: aborted.signal })).rejects.toMatchObject({ exitCode: 130 });
  expect(await readdir(folder)).toEqual(before);
});

test("what a killed merge left behind is taken away by the next one", async () => {
  await model("survivor", { a: float32([1], [1]) });
  // No process has this id: it is above every system's largest.
  const left = join(folder, `out-${number}.999999999.tmp`);
  await mkdir(left);
  await writeFile(join(left, "model.safetensors"), "half");
  const { out } = await merge(average("survivor"));
  expect(await readdir(folder)).not.toContain(basename(left));
  expect(await readdir(out)).toContain("merge.json");
});

test("tensors larger than a block are read block by block, with the same result", async () => {
  // Two float32 models and a base hold 696,320 entries in a block of 8 MiB.
  const size = 2_500_000;
  const values = (factor: number) =>
    Float32Array.from({ length: size }, (_, i) => Math.fround(factor * ((i % 1009) - 500)));
  const tensor = (data: Float32Array): Tensor => ({ dtype: "F32", shape: [2, size / 2], data });
  await model("big-base", { a: tensor(values(0)) });
  await model("big-1", { a: tensor(values(1)) });
  await model("big-2", { a: tensor(values(2)) });
  const config: MergeConfig = {
    merge_method: "sce",
    base_model: "big-base",
    models: [{ model: "big-1" }, { model: "big-2" }],
    parameters: { variant: "paper", select_topk: 0.25 },
  };
  const { out, events } = await merge(config);
  const { data } = (await readSafetensors(join(out, "model.safetensors"))).tensors.get("a")!;
  // Energies 1 and 4: an update of 0.2 x 1 + 0.8 x 2 where selected; the largest quarter has |i % 1009 - 500| of 378 and more.
  const selected = Array.from(data as Float32Array).filter((value) => value !== 0).length;
  expect(selected).toBe(size / 4);
  expect(data[0]).toBeCloseTo(-500 * 1.8, 3);
  expect(data[500]).toBe(0);
  expect(data[1008]).toBeCloseTo(508 * 1.8, 3);
  expect(events.filter(({ type }) => type === "progress").length).toBeGreaterThan(1);
});

test("the output is cut into shards with an index", async () => {
  const tensors = { a: float32([2], [1, 2]), b: float32([2], [3, 4]), c: float32([1], [5]) };
  await model("sharded", tensors);
  const { out } = await merge(average("sharded"), { shardBytes: 12 });
  expect((await readdir(out)).filter((name) => name.endsWith(".safetensors"))).toEqual([
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
  ]);
  const weights = await openWeights(out);
  for (const [name, { data }] of Object.entries(tensors)) expect(await weights.float32(name)).toEqual(data);
});

test("a model with a tied head gives its embedding to the others' head", async () => {
  await model("untied", { "model.embed_tokens.weight": float32([2], [1, 2]), "lm_head.weight": float32([2], [3, 4]) });
  await model("tied", { "model.embed_tokens.weight": float32([2], [5, 6]) });
  const { out } = await merge(average("untied", "tied"));
  const weights = await openWeights(out);
  expect([...(await weights.float32("lm_head.weight"))]).toEqual([4, 5]);
});

test("without a dtype every tensor keeps the promoted dtype of its inputs", async () => {
  await model("mixed-1", { a: bfloat16([1], [1]), b: bfloat16([1], [1]) });
  await model("mixed-2", { a: bfloat16([1], [2]), b: float32([1], [2]) });
  const { out } = await merge(average("mixed-1", "mixed-2"));
  const { tensors } = await readSafetensors(join(out, "model.safetensors"));
  expect([tensors.get("a")!.dtype, tensors.get("b")!.dtype]).toEqual(["BF16", "F32"]);
});

test("a base that is listed among the models is no target", async () => {
  await model("origin", { a: float32([2], [0, 0]) });
  await model("moved", { a: float32([2], [1, -1]) });
  const config: MergeConfig = {
    merge_method: "sce",
    base_model: "origin",
    models: [{ model: "origin" }, { model: "moved" }],
    parameters: { variant: "fusechat" },
  };
  const { out } = await merge(config);
  expect([...(await (await openWeights(out)).float32("a"))]).toEqual([1, -1]);
  const record = JSON.parse(await readFile(join(out, "merge.json"), "utf8"));
  expect(record.models.map(({ model: name }: { model: string }) => name)).toEqual(["moved"]);
});

test("names from outside cannot break the model card", async () => {
  const name = "evil `|\n# heading";
  await model(name, { a: float32([1], [1]) });
  const { out } = await merge(average(name));
  const card = await readFile(join(out, "README.md"), "utf8");
  expect(card).toContain("| `evil____#_heading` | merged |");
  expect(card.split("\n").filter((line) => line.startsWith("# "))).toEqual(["# Merge by linear"]);
});

test("the same merge elsewhere gives the same bytes", async () => {
  await model("here/one", { a: float32([1], [1]) });
  await cp(join(folder, "here"), join(folder, "there"), { recursive: true });
  const record = async (parent: string): Promise<string[]> => {
    const config = { ...average(join(folder, parent, "one")) };
    const { out } = await merge(config);
    return Promise.all(
      ["merge.json", "README.md", "model.safetensors"].map((name) => readFile(join(out, name), "latin1")),
    );
  };
  expect(await record("there")).toEqual(await record("here"));
});
