/** LoRA adapters as inputs: what peft makes of base and adapter, and what is refused by name. */
import { readdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { readModel, relative } from "../compare.ts";
import { configOf, decoder, filled, linear, type SmallModels, smallModels } from "../small-models.ts";

const GOLDEN = resolve(import.meta.dirname, "../../golden/adapters");
const CASES = (await readdir(GOLDEN, { withFileTypes: true })).filter((entry) => entry.isDirectory());

let models: SmallModels;

beforeAll(async () => {
  models = await smallModels();
});

afterAll(() => models.remove());

const passthrough = (model: unknown) => ({ merge_method: "passthrough", models: [{ model }] });

describe("a base with its adapter is what peft computes", () => {
  test.each(CASES.map(({ name }) => name))("%s", async (name) => {
    const path = (part: string): string => join(GOLDEN, name, part);
    const { out } = await models.merge(passthrough(`${path("base")}+${path("adapter")}`));
    const actual = await readModel(join(out, "model.safetensors"));
    const expected = await readModel(path("merged.safetensors"));
    expect([...actual.values.keys()].sort()).toEqual([...expected.values.keys()].sort());
    for (const [tensor, values] of expected.values) {
      // Both are sums in double precision, rounded once to float32: half a unit in the last place each.
      expect(relative(actual.values.get(tensor)!, values, 2e-7).beyond, tensor).toBe(0);
    }
  });
});

/** An adapter of rank 1 on `q.weight` of two by three: B = [1, 2], A = [1, 10, 100]. */
const PARTS: Readonly<Record<string, Tensor>> = {
  "base_model.model.q.lora_A.weight": { dtype: "F32", shape: [1, 3], data: Float32Array.of(1, 10, 100) },
  "base_model.model.q.lora_B.weight": { dtype: "F32", shape: [2, 1], data: Float32Array.of(1, 2) },
};

async function adapter(name: string, config: object = {}, tensors: Readonly<Record<string, Tensor>> = PARTS) {
  await models.model(name, 0, {}, { "adapter_config.json": { peft_type: "LORA", r: 1, lora_alpha: 1, ...config } });
  for (const file of ["config.json", "model.safetensors"]) await rm(join(models.folder, name, file));
  await writeSafetensors(join(models.folder, name, "adapter_model.safetensors"), Object.entries(tensors));
}

const matrix = (...values: number[]): Tensor => ({ dtype: "F32", shape: [2, 3], data: Float32Array.from(values) });

describe("an adapter is taken wherever a merge takes a model", () => {
  beforeAll(async () => {
    await models.model("base", 0, { "q.weight": matrix(0, 0, 0, 0, 0, 0) });
    await models.model("tuned", 0, { "q.weight": matrix(1, 1, 1, 1, 1, 1) });
    await adapter("ada", { base_model_name_or_path: "base" });
  });
  const rowsOf = async (config: object) => [...(await models.merge(config)).tensors.get("q.weight")!.data];

  test("as base+adapter, with a mapping, and alone where its base lies beside it", async () => {
    const expected = [1, 10, 100, 2, 20, 200];
    expect(await rowsOf(passthrough("base+ada"))).toEqual(expected);
    expect(await rowsOf(passthrough({ model: { path: "base" }, lora: { path: "ada" } }))).toEqual(expected);
    expect(await rowsOf(passthrough("ada"))).toEqual(expected);
    expect(await rowsOf(passthrough(`${models.folder}/base+${models.folder}/ada`))).toEqual(expected);
  });

  test("as model among others and as base", async () => {
    expect(await rowsOf(linear("base+ada", "tuned"))).toEqual([1, 5.5, 50.5, 1.5, 10.5, 100.5]);
    const config = {
      merge_method: "task_arithmetic",
      base_model: "base+ada",
      models: [{ model: "tuned" }],
      parameters: { weight: 2 },
    };
    expect(await rowsOf(config)).toEqual([1, -8, -98, 0, -18, -198]);
  });

  test("and its files are named with their hashes, without absolute paths", async () => {
    const { json } = await models.merge(passthrough(`${models.folder}/base+${models.folder}/ada`));
    const { models: listed } = (await json("merge.json")) as { models: unknown };
    const plain = (await (await models.merge(passthrough("base"))).json("merge.json")) as {
      models: { weights_sha256: string }[];
    };
    expect(listed).toMatchObject([{ model: "base+ada" }]);
    expect((listed as { weights_sha256: string }[])[0]!.weights_sha256).not.toBe(plain.models[0]!.weights_sha256);
  });

  test("where base_model_name_or_path names the base by the Hub's name, a folder of its last part serves", async () => {
    await adapter("hub", { base_model_name_or_path: "someone/base" });
    expect(await rowsOf(passthrough("hub"))).toEqual([1, 10, 100, 2, 20, 200]);
  });

  test("blocks that begin and end within rows are right, with DoRA too", async () => {
    const [rows, columns] = [700, 1000];
    const wide = (count: number, step: number): Float32Array =>
      Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * step)));
    const data = wide(rows * columns, 0.37);
    await models.model("large", 0, { "q.weight": { dtype: "F32", shape: [rows, columns], data } });
    const a = wide(2 * columns, 0.11);
    const b = wide(2 * rows, 0.23);
    const magnitude = wide(rows, 0.51);
    const parts = {
      "base_model.model.q.lora_A.weight": { dtype: "F32", shape: [2, columns], data: a },
      "base_model.model.q.lora_B.weight": { dtype: "F32", shape: [rows, 2], data: b },
    } as const;
    const dora = {
      "base_model.model.q.lora_magnitude_vector": { dtype: "F32", shape: [rows], data: magnitude },
    } as const;
    await adapter("large-lora", { r: 2, lora_alpha: 3 }, parts);
    await adapter("large-dora", { r: 2, lora_alpha: 3, use_dora: true }, { ...parts, ...dora });
    const sum = (row: number, column: number): number =>
      data[row * columns + column]! + 1.5 * (b[2 * row]! * a[column]! + b[2 * row + 1]! * a[columns + column]!);
    const lengths = Array.from({ length: rows }, (_, row) =>
      Math.hypot(...Array.from({ length: columns }, (__, j) => sum(row, j))),
    );
    const plain = (await models.merge(passthrough("large+large-lora"))).tensors.get("q.weight")!.data;
    const scaled = (await models.merge(passthrough("large+large-dora"))).tensors.get("q.weight")!.data;
    for (let row = 0; row < rows; row += 7) {
      for (let column = row % 13; column < columns; column += 31) {
        expect(plain[row * columns + column]).toBe(Math.fround(sum(row, column)));
        expect(scaled[row * columns + column]).toBeCloseTo((magnitude[row]! * sum(row, column)) / lengths[row]!, 6);
      }
    }
  });
});

test("an adapter that brings rows for new tokens brings its tokenizer and the number of rows", async () => {
  const tokenizer = (...tokens: string[]) => ({
    added_tokens: [],
    model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [] },
  });
  await models.model("small", 1, decoder(1, { rows: 2 }), {
    ...configOf({ vocab_size: 2, tie_word_embeddings: false }),
    "tokenizer.json": tokenizer("a", "b"),
  });
  await adapter(
    "more",
    {},
    {
      "base_model.model.model.embed_tokens.weight": filled(5, [3, 8]),
      "base_model.model.lm_head.modules_to_save.default.weight": filled(7, [3, 8]),
    },
  );
  await writeFile(join(models.folder, "more/tokenizer.json"), JSON.stringify(tokenizer("a", "b", "c")));
  const { values, tensors, json } = await models.merge(passthrough("small+more"));
  expect(values).toMatchObject({ "model.embed_tokens.weight": 5, "lm_head.weight": 7 });
  expect(tensors.get("lm_head.weight")!.shape).toEqual([3, 8]);
  expect(await json("config.json")).toMatchObject({ vocab_size: 3 });
  expect(await json("tokenizer.json")).toMatchObject({ model: { vocab: { c: 2 } } });
});

describe("refused by name", () => {
  const refusal = async (config: object, tensors?: Readonly<Record<string, Tensor>>): Promise<string> => {
    await adapter("bad", config, tensors);
    return models.refusal(passthrough("base+bad"));
  };

  test("what is no LoRA, and what LoRA's relatives add or take away", async () => {
    const path = "bad/adapter_config.json";
    expect(await refusal({ peft_type: "IA3" })).toBe(
      `${path}: expected a LoRA adapter, found "IA3"; merge it with peft first`,
    );
    expect(await refusal({ target_parameters: ["experts.gate_up_proj"] })).toBe(
      `${path}: target_parameters is not supported in adapters; merge this one with peft first`,
    );
    expect(await refusal({ init_lora_weights: "pissa_niter_4" })).toContain(
      "init_lora_weights pissa_niter_4 changes the base",
    );
    expect(await refusal({ alpha_pattern: { "layers.(0|1).q": 3 } })).toContain(
      'alpha_pattern: expected names of modules, found the regular expression "layers.(0|1).q"',
    );
    // No expression either: what the backslash escapes is missing.
    expect(await refusal({ alpha_pattern: { "q\\": 3 } })).toContain("alpha_pattern: expected names of modules");
    expect(await refusal({ lora_alpha: 1e300 })).toContain(`${path}: lora_alpha: `);
    expect(await refusal({ use_dora: true })).toBe(
      'bad/adapter_model.safetensors: "q": use_dora is set, but the magnitudes of DoRA are missing',
    );
  });

  test("matrices that are missing, do not fit or belong to another base", async () => {
    const [a, b] = ["base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight"] as const;
    const where = "bad/adapter_model.safetensors";
    expect(await refusal({}, { [a]: PARTS[a]! })).toBe(
      `${where}: "q": expected the LoRA matrices A and B, found only A`,
    );
    expect(await refusal({}, { [a]: PARTS[a]!, [b]: filled(1, [4, 1]) })).toBe(
      `${where}: "q": expected LoRA matrices A and B that fit on the base's, found [1, 3] and [4, 1] for [2, 3]`,
    );
    expect(
      await refusal(
        {},
        { "base_model.model.v.lora_A.weight": PARTS[a]!, "base_model.model.v.lora_B.weight": PARTS[b]! },
      ),
    ).toBe(`${where}: the LoRA adapter changes "v.weight", which its base does not have; is it the right base?`);
  });

  test("an adapter alone whose base is not here, with what to write", async () => {
    await adapter("alone", { base_model_name_or_path: "org/elsewhere" });
    expect(await models.refusal(passthrough("alone"))).toBe(
      'alone: holds a LoRA adapter alone, whose base is needed, and it names "org/elsewhere", which is no folder here; write BASE+alone, with the folder of its base',
    );
    expect(await models.refusal(passthrough("base+tuned"))).toBe(
      "tuned: expected a LoRA adapter with adapter_config.json, found none",
    );
  });
});
