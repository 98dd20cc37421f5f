/** Models of different vocabularies: which rows are merged, and what the output's tokenizer knows. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readJson } from "#src/formats/files.js";
import { float32ToBfloat16 } from "#src/formats/float.js";
import { readSafetensors, writeSafetensors } from "#src/formats/safetensors.js";
import { mergeModels } from "#src/merge/merge.js";
import { checkMergeConfig } from "#src/merge/read-config.js";
import { silent } from "#src/reporter.js";

const EMBEDDING = "model.embed_tokens.weight";
let root: string;
let folder: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-merge-vocabulary-"));
});

beforeEach(async () => {
  folder = await mkdtemp(join(root, "case-"));
});

afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

interface ModelFiles {
  /** Tokens in the order of their ids; the last `added` of them are added tokens. */
  readonly tokens: readonly string[];
  readonly added?: number;
  /** Rows of two entries: all of this value, but for the second entry, which is the row. */
  readonly value: number;
  readonly rows?: number;
  readonly config?: object;
  readonly tokenizerConfig?: object;
  readonly bfloat16?: boolean;
}

async function model(name: string, files: ModelFiles): Promise<void> {
  const { tokens, added = 0, value, rows = tokens.length, config = {}, tokenizerConfig = {} } = files;
  const path = join(folder, name);
  await mkdir(path);
  const plain = tokens.slice(0, tokens.length - added);
  const tokenizer = {
    added_tokens: tokens.slice(plain.length).map((content, i) => ({ id: plain.length + i, content, special: true })),
    model: { type: "BPE", vocab: Object.fromEntries(plain.map((token, id) => [token, id])), merges: [["a", "b"]] },
  };
  await writeFile(join(path, "tokenizer.json"), JSON.stringify(tokenizer));
  await writeFile(join(path, "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
  await writeFile(join(path, "config.json"), JSON.stringify({ vocab_size: rows, ...config }));
  const values = Float32Array.from({ length: 2 * rows }, (_, i) => (i % 2 === 0 ? value : (i - 1) / 2));
  const data = files.bfloat16 ? float32ToBfloat16(values) : values;
  const dtype = files.bfloat16 ? "BF16" : "F32";
  await writeSafetensors(join(path, "model.safetensors"), [[EMBEDDING, { dtype, shape: [rows, 2], data }]]);
}

async function merge(config: object) {
  const out = join(folder, "out");
  await mergeModels(checkMergeConfig(config, "test"), { out, baseFolder: folder }, { reporter: silent });
  const { data, shape, dtype } = (await readSafetensors(join(out, "model.safetensors"))).tensors.get(EMBEDDING)!;
  const rows = Array.from({ length: shape[0]! }, (_, row) => [...data.slice(2 * row, 2 * row + 2)].map(Number));
  return {
    out,
    rows,
    dtype,
    json: async (name: string) => (await readJson(join(out, name))) as Record<string, unknown>,
  };
}

const linear = (names: readonly string[], rest: object) => ({
  merge_method: "linear",
  parameters: { weight: 1 },
  models: names.map((name) => ({ model: name })),
  ...rest,
});

describe("rows by token", () => {
  test("a token of one model is its row, of several without a base their mean; nobody's is zero", async () => {
    await model("a", { tokens: ["a", "b", "x"], value: 3 });
    await model("b", { tokens: ["b", "a", "x"], value: 6 });
    await model("c", { tokens: ["a", "b", "c"], value: 9 });
    const { rows, out } = await merge(
      linear(["a", "b", "c"], { tokenizer: { source: "union", tokens: { new: { source: { kind: "zero" } } } } }),
    );
    expect(rows).toEqual(
      [
        [6, 1 / 3],
        [6, 2 / 3],
        // Tokens a and b have it, c takes their mean.
        [4.5, 2],
        [9, 2],
        [0, 0],
      ].map((row) => row.map(Math.fround)),
    );
    const { model: vocab, added_tokens: added } = (await readJson(join(out, "tokenizer.json"))) as {
      model: { vocab: object; merges: unknown };
      added_tokens: { content: string; id: number; special: boolean }[];
    };
    // Where ordinary tokens follow, added ones are listed, too: readers number those that are not behind the last.
    expect(vocab.vocab).toEqual({ a: 0, b: 1, x: 2, new: 4, c: 3 });
    expect(vocab.merges).toEqual([["a", "b"]]);
    expect(added).toMatchObject([{ content: "new", id: 4, special: false }]);
  });

  test("with a base, models that lack a token take the base's row", async () => {
    await model("base", { tokens: ["a", "x"], value: 3 });
    await model("b", { tokens: ["a", "x"], value: 6 });
    await model("c", { tokens: ["a"], value: 9 });
    const { rows } = await merge(linear(["base", "b", "c"], { base_model: "base", tokenizer_source: "base" }));
    expect(rows).toEqual([
      [6, 0],
      [4, 1],
    ]);
  });

  test("padding is the mean of all other rows, and the tokens' own padding is dropped", async () => {
    await model("base", { tokens: ["a", "b", "c"], value: 4, rows: 7 });
    const { rows, json } = await merge(
      linear(["base"], { base_model: "base", tokenizer: { source: "base", pad_to_multiple_of: 4 } }),
    );
    expect(rows).toEqual([
      [4, 0],
      [4, 1],
      [4, 2],
      [4, 1],
    ]);
    expect(await json("config.json")).toMatchObject({ vocab_size: 4 });
  });

  test("bfloat16 stays bfloat16", async () => {
    await model("base", { tokens: ["a", "b"], value: 2, bfloat16: true });
    await model("b", { tokens: ["b", "a"], value: 4, bfloat16: true });
    const { rows, dtype } = await merge(linear(["base", "b"], { base_model: "base", tokenizer_source: "base" }));
    expect(dtype).toBe("BF16");
    expect(rows.map(([bits]) => bits)).toEqual([0x4040, 0x4040]);
  });

  test("a forced source holds in models that have the token, too", async () => {
    await model("a", { tokens: ["a", "b"], value: 3 });
    await model("b", { tokens: ["a", "b"], value: 6 });
    const tokens = { b: { source: { kind: "model_token", model: "a", token: "a" }, force: true }, a: { source: "b" } };
    const { rows } = await merge(linear(["a", "b"], { tokenizer: { source: "union", tokens } }));
    expect(rows).toEqual([
      [4.5, 0],
      [3, 0],
    ]);
  });
});

describe("the tokenizer's files", () => {
  test("ids in config and generation config follow the tokenizer", async () => {
    await model("a", {
      tokens: ["a", "b", "</s>"],
      value: 1,
      config: { eos_token_id: [2, 0], bos_token_id: 1, pad_token_id: null },
    });
    await model("b", { tokens: ["</s>", "a"], value: 2 });
    const { json } = await merge(linear(["a", "b"], { tokenizer: { source: "b" } }));
    expect(await json("config.json")).toMatchObject({ eos_token_id: [0, 1], bos_token_id: null, pad_token_id: null });
  });

  test("tokens beyond the base's rows are taken out", async () => {
    await model("base", {
      tokens: ["a", "b", "ab", "<x>"],
      added: 1,
      value: 1,
      rows: 2,
      tokenizerConfig: { added_tokens_decoder: { 3: { content: "<x>" } } },
    });
    await writeFile(join(folder, "base/vocab.json"), "{}");
    const { json, out } = await merge(linear(["base"], { base_model: "base", tokenizer_source: "base" }));
    expect(await json("tokenizer.json")).toEqual({
      added_tokens: [],
      model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] },
    });
    expect(await json("tokenizer_config.json")).toEqual({ added_tokens_decoder: {} });
    // A second list of tokens would contradict the first.
    expect(await readdir(out)).not.toContain("vocab.json");
  });

  test("added tokens stand in the tokenizer's config as they did", async () => {
    await model("a", { tokens: ["a"], value: 1, tokenizerConfig: { added_tokens_decoder: {} } });
    await model("b", { tokens: ["a", "<b>"], added: 1, value: 2 });
    const { json } = await merge(linear(["a", "b"], { tokenizer_source: "union" }));
    expect(await json("tokenizer_config.json")).toMatchObject({
      added_tokens_decoder: { 1: { content: "<b>", special: true } },
    });
  });

  test("auto is the template most models have", async () => {
    for (const [name, template] of Object.entries({ a: "one", b: "two", c: "two" })) {
      await model(name, { tokens: ["a"], value: 1, tokenizerConfig: { chat_template: template, unk_token: "a" } });
    }
    const { out, json } = await merge(linear(["a", "b", "c"], { chat_template: "auto" }));
    expect(await readFile(join(out, "chat_template.jinja"), "utf8")).toBe("two");
    expect(await json("tokenizer_config.json")).toEqual({ unk_token: "a" });
    expect(await readFile(join(out, "README.md"), "utf8")).toContain(
      "Config from `a`, tokenizer from `a`, chat template from most models.",
    );
  });

  test("named templates go with the tokenizer, each in a file of its own", async () => {
    const named = { default: "plain", tool_use: "tools" };
    await model("a", { tokens: ["a"], value: 1, tokenizerConfig: { chat_template: "other" } });
    await model("b", { tokens: ["a"], value: 2, tokenizerConfig: { chat_template: named } });
    const { out, json } = await merge(linear(["a", "b"], { tokenizer: { source: "b" } }));
    expect(await readFile(join(out, "chat_template.jinja"), "utf8")).toBe("plain");
    expect(await readFile(join(out, "additional_chat_templates/tool_use.jinja"), "utf8")).toBe("tools");
    expect(await json("tokenizer_config.json")).toEqual({});
  });

  test("a template whose name leads out of the folder is refused", async () => {
    await model("a", { tokens: ["a"], value: 1, tokenizerConfig: { chat_template: { "../x": "outside" } } });
    await expect(merge(linear(["a"], { tokenizer: { source: "a" } }))).rejects.toThrow(
      /tokenizer_config\.json: expected the name of a template to be letters, digits, .* found "\.\.\/x"$/,
    );
  });

  test("a template may be given whole", async () => {
    await model("a", { tokens: ["a"], value: 1 });
    const template = "{% for m in messages %}{{ m['content'] }}{% endfor %}";
    const { out } = await merge(linear(["a"], { chat_template: template }));
    expect(await readFile(join(out, "chat_template.jinja"), "utf8")).toBe(template);
  });
});

describe("refused", () => {
  const problem = (config: object): Promise<string> =>
    merge(config).then(
      () => "not refused",
      (error: Error) => error.message.replaceAll(`${folder}/`, ""),
    );

  test("a base without base_model, a source that is nowhere, a model without tokenizer", async () => {
    await model("a", { tokens: ["a"], value: 1 });
    expect(await problem(linear(["a"], { tokenizer_source: "base" }))).toBe(
      "tokenizer: the source base needs base_model, found none",
    );
    expect(await problem(linear(["a"], { tokenizer_source: "nobody" }))).toMatch(
      /^"nobody": expected a model folder, found none at /,
    );
    await rm(join(folder, "a/tokenizer.json"));
    expect(await problem(linear(["a"], { tokenizer_source: "union" }))).toMatch(
      /^a: no tokenizer: expected tokenizer\.json or a SentencePiece tokenizer\.model, found neither; .*AutoTokenizer/,
    );
  });

  test("rows that a model does not have", async () => {
    await model("a", { tokens: ["a"], value: 1 });
    const at = (source: unknown) =>
      problem(linear(["a"], { tokenizer: { source: "union", tokens: { x: { source } } } }));
    const place = `"${EMBEDDING}": tokenizer.tokens: expected`;
    expect(await at("a")).toBe(`${place} a row of "x" in "a", found none`);
    expect(await at("b")).toBe(`${place} a model of the merge, found "b"`);
    expect(await at({ kind: "model_token", model: "a", token_id: 1 })).toBe(`${place} the row 1 in "a", found none`);
    expect(await at({ kind: "model_token", model: "a", token: "y" })).toBe(`${place} a row of "y" in "a", found none`);
  });

  test("other shapes than those of rows", async () => {
    await model("a", { tokens: ["a"], value: 1 });
    await model("b", { tokens: ["a"], value: 1 });
    const tensor = { dtype: "F32", shape: [1, 3], data: new Float32Array(3) } as const;
    await writeSafetensors(join(folder, "b/model.safetensors"), [[EMBEDDING, tensor]]);
    expect(await problem(linear(["a", "b"], { tokenizer_source: "union" }))).toBe(
      `"${EMBEDDING}": expected one shape, found [1, 2] in a and [1, 3] in b`,
    );
  });
});
