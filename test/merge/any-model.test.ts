/** Models of which nothing is known but names and shapes, and slices of them. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson } from "#src/formats/files.js";
import { readSafetensors, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { mergeModels } from "#src/merge/merge.js";
import { checkMergeConfig } from "#src/merge/read-config.js";
import { silent } from "#src/reporter.js";

let folder: string;
let number = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-any-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Tensors of two entries, the first of which is `value`, the second the tensor's place. */
async function model(name: string, value: number, names: readonly string[], config: object = {}): Promise<void> {
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, name, "config.json"), JSON.stringify(config));
  const tensors = names.map((tensor, place): [string, Tensor] => [
    tensor,
    { dtype: "F32", shape: [2], data: Float32Array.of(value, place) },
  ]);
  await writeSafetensors(join(folder, name, "model.safetensors"), tensors);
}

async function merge(config: object) {
  const out = join(folder, `out-${number++}`);
  const checked = checkMergeConfig(config, "test");
  await mergeModels(checked, { out, baseFolder: folder }, { reporter: silent });
  const { tensors } = await readSafetensors(join(out, "model.safetensors"));
  const values = [...tensors].map(([name, { data }]) => [name, Number(data[0])] as const);
  return { out, values: Object.fromEntries(values), config: (await readJson(join(out, "config.json"))) as object };
}

const average = (gradient: unknown) => ({
  merge_method: "linear",
  parameters: { normalize: false },
  models: [
    { model: "a", parameters: { weight: gradient } },
    { model: "b", parameters: { weight: 0 } },
  ],
});

describe("whole models", () => {
  test("experts have the depth of their layer", async () => {
    const names = ["model.embed_tokens.weight", "lm_head.weight"];
    for (let layer = 0; layer < 3; layer++) {
      names.push(`model.layers.${layer}.block_sparse_moe.gate.weight`);
      for (const expert of [0, 7]) names.push(`model.layers.${layer}.block_sparse_moe.experts.${expert}.w1.weight`);
    }
    for (const name of ["a", "b"]) await model(name, 1, names);
    const { values } = await merge(average([0, 1]));
    expect(values["model.layers.1.block_sparse_moe.experts.7.w1.weight"]).toBe(0.5);
    expect(values["model.layers.2.block_sparse_moe.gate.weight"]).toBe(1);
    expect(values["lm_head.weight"]).toBe(0);
  });

  test("a vision tower and an encoder have layers of their own", async () => {
    const names = [
      "vision_tower.encoder.layers.0.k.weight",
      "vision_tower.encoder.layers.1.k.weight",
      ...[0, 1, 2].map((layer) => `language_model.model.layers.${layer}.k.weight`),
      "encoder.layer.0.attention.output.dense.weight",
      "encoder.layer.4.attention.output.dense.weight",
      "pooler.dense.weight",
    ];
    for (const name of ["a", "b"]) await model(name, 1, names);
    const { values } = await merge(average([0, 1]));
    expect(values["vision_tower.encoder.layers.1.k.weight"]).toBe(1);
    expect(values["language_model.model.layers.1.k.weight"]).toBe(0.5);
    expect(values["encoder.layer.4.attention.output.dense.weight"]).toBe(1);
    expect(values["pooler.dense.weight"]).toBe(0);
  });

  test("tables that follow from the config are left out", async () => {
    await model("a", 1, ["embeddings.position_ids", "x.rotary_emb.inv_freq", "embeddings.word_embeddings.weight"]);
    await model("b", 1, ["embeddings.word_embeddings.weight"]);
    expect(Object.keys((await merge(average(1))).values)).toEqual(["embeddings.word_embeddings.weight"]);
  });

  test("empty tensors, scalars and empty names merge as all others", async () => {
    const tensors: [string, Tensor][] = [
      ["empty", { dtype: "F32", shape: [0, 3], data: new Float32Array(0) }],
      ["scalar", { dtype: "F32", shape: [], data: Float32Array.of(2) }],
    ];
    for (const name of ["a", "b", "base"]) {
      await model(name, 0, []);
      await writeSafetensors(join(folder, name, "model.safetensors"), tensors);
    }
    const methods: Record<string, object> = {
      ties: { weight: 1, density: 0.5 },
      della: { weight: 1, density: 0.5 },
      breadcrumbs: { weight: 1, density: 0.5 },
      sce: { select_topk: 0.5 },
      varm: {},
      model_stock: { filter_wise: true },
      nuslerp: { weight: 1, nuslerp_flatten: false },
      karcher: {},
    };
    for (const [method, parameters] of Object.entries(methods)) {
      const base = method === "karcher" ? {} : { base_model: "base" };
      const { out } = await merge({
        merge_method: method,
        models: [{ model: "a" }, { model: "b" }],
        parameters,
        ...base,
      });
      const found = (await readSafetensors(join(out, "model.safetensors"))).tensors;
      expect(found.get("empty")!.shape, method).toEqual([0, 3]);
      expect(found.get("scalar")!.data[0], method).toBe(2);
    }
    for (const other of ["nearswap", "arcee_fusion"]) {
      const parameters = other === "nearswap" ? { t: 1 } : {};
      const { out } = await merge({ merge_method: other, models: [{ model: "a" }], base_model: "base", parameters });
      expect((await readSafetensors(join(out, "model.safetensors"))).tensors.get("scalar")!.data[0]).toBe(2);
    }
  });
});

describe("slices", () => {
  const layers = (prefix: string, count: number): string[] =>
    Array.from({ length: count }, (_, layer) => `${prefix}.${layer}.k.weight`);
  const vision = (count: number): string[] => ["visual.blocks.0.k.weight", ...layers("model.layers", count)];

  test("cut the larger stack and leave the other", async () => {
    const names = ["model.embed_tokens.weight", ...vision(3), "model.norm.weight", "lm_head.weight"];
    await model("a", 1, names, {
      text_config: { num_hidden_layers: 3, hidden_size: 2, layer_types: ["full", "slide", "linear"] },
    });
    await model("b", 2, names);
    const { values, config, out } = await merge({
      merge_method: "passthrough",
      slices: [
        { sources: [{ model: "a", layer_range: [0, 2] }] },
        { sources: [{ model: "b", layer_range: [0, 3], parameters: { scale: [1, 2] } }] },
      ],
    });
    expect(values).toEqual({
      "model.embed_tokens.weight": 1,
      "visual.blocks.0.k.weight": 1,
      "model.layers.0.k.weight": 1,
      "model.layers.1.k.weight": 1,
      "model.layers.2.k.weight": 2,
      "model.layers.3.k.weight": 3,
      "model.layers.4.k.weight": 4,
      "model.norm.weight": 2,
      "lm_head.weight": 2,
    });
    expect(config).toMatchObject({
      text_config: {
        num_hidden_layers: 5,
        hidden_size: 2,
        layer_types: ["full", "slide", "full", "slide", "linear"],
      },
    });
    const card = await readFile(join(out, "README.md"), "utf8");
    expect(card).toContain("layer_range");
    // As it stands mergekit reads it: either models or slices.
    expect(card).not.toContain("models:");
  });

  test("have bases and parameters of their own; the model's come before the slice's before the merge's", async () => {
    for (const [name, value] of Object.entries({ zero: 0, ten: 10, a: 11, b: 12 })) {
      await model(name, value, ["embed.weight", ...layers("h", 2)]);
    }
    const { values, out } = await merge({
      merge_method: "task_arithmetic",
      base_model: "zero",
      parameters: { weight: 1, lambda: 2 },
      slices: [
        { sources: [{ model: "a", layer_range: [0, 1] }], parameters: { weight: 3, lambda: 1 } },
        {
          sources: [
            { model: "a", layer_range: [1, 2] },
            { model: "b", layer_range: [0, 1], parameters: { weight: 5 } },
          ],
          base_model: "ten",
        },
      ],
    });
    expect(values).toEqual({ "embed.weight": 33, "h.0.k.weight": 33, "h.1.k.weight": 10 + 2 * (1 + 5 * 2) });
    const record = (await readJson(join(out, "merge.json"))) as { models: { model: string }[] };
    expect(record.models.map(({ model: name }) => name)).toEqual(["a", "b", "ten"]);
  });

  test("coefficients are told with the models they belong to", async () => {
    for (const [name, value] of Object.entries({ base: 0, a: 1, b: 2 })) await model(name, value, layers("h", 1));
    const source = (name: string) => ({ model: name, layer_range: [0, 1] });
    const { out } = await merge({
      merge_method: "varm",
      base_model: "base",
      slices: [{ sources: [source("a"), source("b")] }, { sources: [source("b")] }],
    });
    const { tensors } = (await readJson(join(out, "merge.json"))) as { tensors: object[] };
    expect(tensors).toMatchObject([
      { name: "h.0.k.weight", models: ["a", "b"], coefficients: [0.2, 0.8] },
      { name: "h.1.k.weight", models: ["b"], coefficients: [1] },
    ]);
    expect(await readFile(join(out, "README.md"), "utf8")).toContain("| `h.0.k.weight` | `a` 0.2000, `b` 0.8000 |");
  });

  test("a tensor that only one source has is refused by name", async () => {
    await model("a", 1, ["h.0.k.weight", "h.0.bias"]);
    await model("b", 1, ["h.0.k.weight"]);
    const sources = ["a", "b"].map((name) => ({ model: name, layer_range: [0, 1], parameters: { weight: 1 } }));
    await expect(merge({ merge_method: "linear", slices: [{ sources }] })).rejects.toThrow(
      'b: expected the tensor "h.0.bias" of a, found none',
    );
  });
});
