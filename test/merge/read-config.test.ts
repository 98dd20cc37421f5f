/** Reading of configurations: what is wrong is told by line and column, all at once. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkMergeConfig, readMergeConfig } from "#src/merge/read-config.js";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-config-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function read(text: string) {
  const path = join(folder, "merge.yaml");
  await writeFile(path, text);
  return readMergeConfig(path);
}

/** The messages, without the folder. */
async function problems(text: string): Promise<string[]> {
  try {
    await read(text);
  } catch (error) {
    return (error as Error).message.replaceAll(`${folder}/`, "").split("\n");
  }
  return [];
}

test("a configuration is read as mergekit writes it", async () => {
  const config = await read(
    "merge_method: linear\nmodels:\n- model: a\n  parameters:\n    weight:\n    - {filter: mlp, value: [0, 1]}\n    - value: 0.5\n" +
      "- {model: b, parameters: {weight: '0.3'}}\nparameters: {normalize: yes}\ndtype: bfloat16\nout_dtype: float16\ntokenizer: null\n",
  );
  expect(config).toEqual({
    merge_method: "linear",
    models: [
      { model: "a", parameters: { weight: [{ filter: "mlp", value: [0, 1] }, { value: 0.5 }] } },
      { model: "b", parameters: { weight: "0.3" } },
    ],
    parameters: { normalize: true },
    dtype: "bfloat16",
    out_dtype: "float16",
  });
});

test("all mistakes are told at once, by line and column", async () => {
  const text =
    "merge_method: sce\nbase_modle: base\nmodels:\n- {model: a, weight: 1}\n- {model: ''}\n- b\n" +
    "parameters:\n  select_topk: [0.1, heavy]\n  variant: papper\n  int8_mask: []\n  foo: 1\ndtype: bf16\n";
  expect(await problems(text)).toEqual([
    'merge.yaml:2:1: base_modle: unknown key; did you mean "base_model"?',
    "merge.yaml:4:14: models[0].weight: unknown key",
    'merge.yaml:5:11: models[1].model: expected the folder of a model, found ""',
    'merge.yaml:6:3: models[2]: expected a mapping with the key model, found "b"',
    'merge.yaml:8:22: parameters.select_topk[1]: expected a finite number, found "heavy"',
    'merge.yaml:9:12: parameters.variant: expected one of fusechat, paper, mergekit, found "papper"; did you mean "paper"?',
    "merge.yaml:10:14: parameters.int8_mask: expected at least one value, found an empty list",
    "merge.yaml:11:3: parameters.foo: sce has no such parameter",
    'merge.yaml:12:8: dtype: expected one of float64, float32, float16, bfloat16, found "bf16"',
    "merge.yaml:1:1: sce needs base_model, the model that the others were trained from; found none",
  ]);
});

test("a setting of the whole merge is refused at a model, and a mixed list anywhere", async () => {
  const text =
    "merge_method: linear\nmodels:\n- model: a\n  parameters: {normalize: true, weight: [1, {value: 2}]}\n- {model: b, parameters: 3}\n";
  expect(await problems(text)).toEqual([
    "merge.yaml:4:16: models[0].parameters.normalize: is one value for the whole merge; set it under the top-level parameters",
    "merge.yaml:4:41: models[0].parameters.weight: expected either values or filters with values, found both in one list",
    "merge.yaml:5:26: models[1].parameters: expected a mapping of parameters, found 3",
    'merge.yaml:5:3: models[1]: linear needs the parameter weight of "b"',
  ]);
});

test("a list for all models, as long as the list of models, is a gradient, with a warning", async () => {
  const text = (weight: string) =>
    `merge_method: linear\nparameters: {weight: ${weight}}\nmodels: [{model: a}, {model: b}]\n`;
  const { warnings } = await read(text("[0.3, 0.7]"));
  expect(warnings?.map((line) => line.replace(`${folder}/`, ""))).toEqual([
    "merge.yaml:2:22: parameters.weight: is a gradient over the layers, the same for every model; for a value each write it under the models",
  ]);
  for (const other of ["0.3", "[0.3, 0.5, 0.7]", "[{filter: mlp, value: 1}, {value: 2}]"]) {
    expect((await read(text(other))).warnings).toBeUndefined();
  }
});

test("an unknown method is refused with the nearest known name", async () => {
  expect(await problems("merge_method: tie\nmodels: [{model: a}]\n")).toEqual([
    expect.stringMatching(
      /^merge\.yaml:1:15: merge_method: expected one of sce, .*found "tie"; did you mean "ties"\?$/,
    ),
  ]);
});

test("slices are read as mergekit writes them", async () => {
  const config = await read(
    "merge_method: passthrough\nslices:\n- sources:\n  - {model: a, layer_range: [0, 2], parameters: {scale: 0.5}}\n" +
      "  base_model: b\n- sources: [{model: b, layer_range: [1, 2]}]\n",
  ).catch((error: Error) => error.message);
  expect(config).toContain("merge.yaml:4:3: slices[0].sources: passthrough merges 1 model, found 2");
  const { slices } = await read(
    "merge_method: passthrough\nslices:\n- sources:\n  - {model: a, layer_range: [0, 2], parameters: {scale: 0.5}}\n" +
      "  parameters: {scale: 2}\n- sources: [{model: b, layer_range: [1, 2]}]\n",
  );
  expect(slices).toEqual([
    {
      sources: [{ model: "a", layer_range: [0, 2], parameters: { scale: 0.5 } }],
      parameters: { scale: 2 },
    },
    { sources: [{ model: "b", layer_range: [1, 2] }] },
  ]);
});

test("modules are refused with what to do instead, and residual_weight is passed over", async () => {
  expect(await problems("merge_method: linear\nmodules: {a: {slices: []}}\n")).toEqual([
    "merge.yaml:2:1: modules: models of several modules merge whole, by the names of their tensors; list them under models",
  ]);
  const slice = "{sources: [{model: a, layer_range: [0, 1]}], residual_weight: 0.5}";
  const { warnings } = await read(`merge_method: passthrough\nslices: [${slice}]\n`);
  expect(warnings).toEqual([expect.stringContaining("slices[0].residual_weight: has no effect")]);
});

test("mistakes in slices and tokenizers are told by place", async () => {
  const text =
    "merge_method: linear\nparameters: {weight: 1}\nslices:\n- {sources: [{model: a, layer_rage: [0, 2]}]}\n- {source: []}\n" +
    "- {sources: [{model: a, layer_range: [0, 1, 2]}]}\n" +
    "tokenizer:\n  sorce: union\n  pad_to_multiple_of: 0\n  tokens:\n    x: {}\n    y: {source: {kind: model_token, model: a}}\n" +
    "    z: {source: {kind: nil}, force: 1}\n";
  expect(await problems(text)).toEqual([
    'merge.yaml:4:25: slices[0].sources[0].layer_rage: unknown key; did you mean "layer_range"?',
    "merge.yaml:4:14: slices[0].sources[0].layer_range: expected [first layer, layer after the last], found nothing",
    "merge.yaml:5:3: slices[1]: expected a mapping with a list of sources, found a mapping",
    "merge.yaml:6:38: slices[2].sources[0].layer_range: expected [first layer, layer after the last], found a list of 3",
    'merge.yaml:8:3: tokenizer.sorce: unknown key; did you mean "source"?',
    "merge.yaml:9:23: tokenizer.pad_to_multiple_of: expected a whole number of 1 to 65536, found 0",
    "merge.yaml:11:8: tokenizer.tokens.x.source: expected the folder of a model, found nothing",
    "merge.yaml:12:17: tokenizer.tokens.y.source: expected either token, a text, or token_id, a whole number",
    "merge.yaml:13:37: tokenizer.tokens.z.force: expected true or false, found 1",
    'merge.yaml:13:24: tokenizer.tokens.z.source.kind: expected zero or model_token, found "nil"',
  ]);
});

test("text that is no configuration is refused with its place", async () => {
  expect(await problems("models: [a\n")).toEqual([expect.stringMatching(/^merge\.yaml:2:1: not YAML: /)]);
  expect(await problems("- a\n")).toEqual([
    "merge.yaml:1:1: expected a mapping with the keys merge_method and models, found a list of 1",
  ]);
  expect(await problems("dtype: float32\ndtype: float16\n")).toEqual([
    "merge.yaml:2:1: expected each key once, found one twice",
  ]);
});

test("a YAML bomb is refused", async () => {
  const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
  for (let n = 1; n < 12; n++)
    lines.push(
      `a${n}: &a${n} [${Array(9)
        .fill(`*a${n - 1}`)
        .join(", ")}]`,
    );
  expect(await problems(`${lines.join("\n")}\n`)).toEqual([expect.stringContaining("Excessive alias count")]);
});

test("an absent file is named", async () => {
  await expect(readMergeConfig(join(folder, "absent.yaml"))).rejects.toThrow("absent.yaml: no such file or folder");
});

test("a configuration that was built by a program is checked alike", () => {
  expect(() => checkMergeConfig({ merge_method: "linear", models: [{ model: "a" }] }, "recipe")).toThrow(
    'recipe: models[0]: linear needs the parameter weight of "a"',
  );
});
