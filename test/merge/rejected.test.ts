/** The golden list of configurations that mergekit should refuse, warn about or merge: each by its reason. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson } from "#src/formats/files.js";
import { readModel } from "./compare.ts";
import { GOLDEN, runCase } from "./golden-cases.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-rejected-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Listed {
  readonly name: string;
  readonly should: "reject" | "warn" | "work";
  readonly config: string;
}

const list = (await readJson(join(GOLDEN, "cases/rejected.json"))) as readonly Listed[];
const named = (should: Listed["should"]): string[] =>
  list.filter((entry) => entry.should === should).map(({ name }) => name);

function configOf(name: string): string {
  return list.find((entry) => entry.name === name)!.config;
}

/** Messages of those that are refused; `YAML` stands for the configuration's path. */
const REASONS: Readonly<Record<string, string>> = {
  "ties-without-base": "YAML:1:1: ties needs base_model, the model that the others were trained from; found none",
  "sce-without-base": "YAML:1:1: sce needs base_model, the model that the others were trained from; found none",
  "linear-without-weight": 'YAML:4:3: models[1]: linear needs the parameter weight of "models/ft2"',
  "linear-base-without-weight":
    "YAML:7:13: base_model: linear counts base_model as one more model, and it has no weight; list it under models with one, or leave base_model out",
  "slerp-three": "YAML:2:1: models: slerp merges 2 models, found 3",
  "slerp-foreign-base":
    'YAML:2:1: models: slerp merges base_model, "models/base", with one other model; found "models/ft1" and "models/ft2"',
  "slerp-without-t": "YAML:1:1: slerp needs the parameter t; set it under parameters",
  "nuslerp-base-among-two": "YAML:2:1: models: nuslerp merges 2 models besides base_model, found 1",
  "model-twice": 'YAML:4:10: models[1].model: expected each model once, found "models/ft1" twice',
  "model-stock-two": "YAML:2:1: models: model_stock merges at least 2 models besides base_model, found 1",
  "nearswap-two": "YAML:2:1: models: nearswap merges 1 model besides base_model, found 2",
  "arcee-fusion-two": "YAML:2:1: models: arcee_fusion merges 1 model besides base_model, found 2",
  "passthrough-two": "YAML:2:1: models: passthrough merges 1 model, found 2",
  "different-vocab-no-tokenizer":
    '"lm_head.weight": expected one shape, found [96, 32] in models/base and [112, 32] in models/padded; where only the padding differs, name the model whose shape the result is to have as base_model',
  "unknown-method": "YAML:4:15: merge_method: expected one of sce, varm, linear, slerp, ",
  "unknown-dtype": 'YAML:5:8: dtype: expected one of float64, float32, float16, bfloat16, found "int4"',
  "models-and-slices": "YAML:6:1: slices: expected either models or slices, found both",
  nothing: "YAML:1:1: models: expected a list of models, found nothing",
  "slices-of-different-length":
    "YAML:7:18: slices[0].sources[1].layer_range: expected as many layers of every source of a slice, found 2 and 3",
  "layer-out-of-range": "models/deep: expected a layer_range within its 4 layers, found [2, 6]",
  "both-tokenizer-keys": "YAML:7:1: tokenizer: expected either tokenizer or tokenizer_source, found both",
  "chat-template-unknown":
    'YAML:6:16: chat_template: expected auto, alpaca, chatml, exaone, llama3, mistral or a Jinja template, found "nonsense"',
  "missing-model": '"models/nobody": expected a model folder, found none at ',
  "della-epsilon":
    '"lm_head.weight": expected density - epsilon and density + epsilon between 0 and 1, found density 0.9 and epsilon 0.2',
  "weight-is-a-word": 'YAML:3:24: models[0].parameters.weight: expected a finite number, found "heavy"',
  "parameter-misspelt": 'YAML:6:14: parameters.select_top_k: sce has no such parameter; did you mean "select_topk"?',
  "key-misspelt": 'YAML:6:1: out_dtyp: unknown key; did you mean "out_dtype"?',
  "linear-weights-cancel":
    '"lm_head.weight": the weights 1, -1 sum to 0, so that nothing can be divided by it; change them or set normalize: false',
  "layer-range-reversed":
    "YAML:4:18: slices[0].sources[0].layer_range: expected a range of at least one layer, found [2, 1]",
  "layer-range-empty":
    "YAML:4:18: slices[0].sources[0].layer_range: expected a range of at least one layer, found [1, 1]",
  "weight-is-nan": "YAML:3:24: models[0].parameters.weight: expected a finite number, found NaN",
};

/** Those that should be warned about and are refused, as mergekit's users would rather hear of them. */
const STRICTER = ["parameter-misspelt", "key-misspelt"];

async function refusal(name: string): Promise<string> {
  const where = join(folder, `refused-${name}`);
  const message = await runCase(configOf(name), name, where, false).then(
    () => "not refused",
    (error: Error & { exitCode: number }) => {
      expect(error.exitCode).toBe(2);
      return error.message.replaceAll(join(where, `${name}.yaml`), "YAML");
    },
  );
  expect(await readdir(where)).toEqual([`${name}.yaml`]);
  return message;
}

describe("refused, with the reason", () => {
  test.each([...named("reject"), ...STRICTER])("%s", async (name) => {
    expect(await refusal(name)).toContain(REASONS[name]);
  });
});

describe("merged, with a warning", () => {
  const warnings: Readonly<Record<string, string>> = {
    "parameter-of-another-method": "parameters.density: has no effect on sce",
    "density-above-one": "density 1.7 keeps all entries, as 1 does",
    "select-topk-negative": "select_topk -0.5 selects nothing",
  };
  test.each(named("warn").filter((name) => !STRICTER.includes(name)))("%s", async (name) => {
    const { warnings: found } = await runCase(configOf(name), name, folder, false);
    expect(found.join("\n")).toContain(warnings[name]);
  });

  test.each(STRICTER)("%s, like mergekit", async (name) => {
    const { warnings: found } = await runCase(configOf(name), `like-${name}`, folder, true);
    expect(found.join("\n")).toContain("ignored, as mergekit does");
  });
});

describe("merged, where mergekit crashes or should not", () => {
  test.each(
    named("work").flatMap(
      (name) =>
        [
          [name, false],
          [name, true],
        ] as const,
    ),
  )("%s, like mergekit: %s", async (name, likeMergekit) => {
    const { out, warnings } = await runCase(configOf(name), `${name}-${likeMergekit}`, folder, likeMergekit);
    expect(warnings).toEqual([]);
    const { values } = await readModel(join(out, "model.safetensors"));
    for (const tensor of values.values()) expect(tensor.every(Number.isFinite)).toBe(true);
  });

  const read = async (name: string) => {
    const { out } = await runCase(configOf(name), `own-${name}`, folder, false);
    return { merged: (await readModel(join(out, "model.safetensors"))).values, out };
  };
  const model = async (name: string) => (await readModel(join(GOLDEN, "models", name, "model.safetensors"))).values;
  const row = (values: Float64Array, id: number): number[] => [...values.subarray(32 * id, 32 * (id + 1))];

  test("a tensor that no model moved stays as it is", async () => {
    const { merged } = await read("multislerp-unchanged-tensor");
    const name = "model.layers.1.self_attn.k_proj.weight";
    expect(merged.get(name)).toEqual((await model("base")).get(name));
  });

  test("a new token takes its row from the base", async () => {
    const { merged, out } = await read("tokenizer-base-new-token");
    const name = "model.embed_tokens.weight";
    expect(row(merged.get(name)!, 96)).toEqual(row((await model("base")).get(name)!, 5));
    expect(await readJson(join(out, "config.json"))).toMatchObject({ vocab_size: 97 });
  });

  test("tokens beyond a model's rows come from the model that has them", async () => {
    const { merged } = await read("tokenizer-with-more-tokens-than-rows");
    const name = "model.embed_tokens.weight";
    const expected = row((await model("plus")).get(name)!, 98);
    row(merged.get(name)!, 98).forEach((value, i) => void expect(value).toBeCloseTo(expected[i]!, 6));
  });

  test("the head follows all sources of the last slice", async () => {
    const { out } = await runCase(configOf("slices-growing-ties"), "head", folder, false);
    const [merged, one, two, base] = await Promise.all(
      [
        join(out, "model.safetensors"),
        ...["deep-ft1", "deep-ft2", "deep"].map((name) => join(GOLDEN, "models", name, "model.safetensors")),
      ].map(async (path) => (await readModel(path)).values.get("lm_head.weight")!),
    );
    // Equal weights, all entries: the mean of those of the elected sign.
    merged!.forEach((value, i) => {
      const [a, b] = [one![i]! - base![i]!, two![i]! - base![i]!];
      const sign = a + b >= 0 ? 1 : -1;
      const with_ = [a, b].filter((update) => update * sign > 0);
      const update = with_.reduce((sum, x) => sum + x, 0) / Math.max(1, with_.length);
      expect(value).toBeCloseTo(base![i]! + update, 6);
    });
  });
});
