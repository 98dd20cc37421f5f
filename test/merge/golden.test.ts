/** Every golden merge, like mergekit and by default. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer } from "tokenizers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exists, readJson } from "#src/formats/files.js";
import { readTokenizerFile } from "#src/merge/vocabulary/tokenizer-file.js";
import { readModel } from "./compare.ts";
import { GOLDEN, type Notes, readCase, runCase, shareBeyond } from "./golden-cases.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-golden-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const entries = await readdir(join(GOLDEN, "cases"), { withFileTypes: true });
const names = entries.filter((entry) => entry.isDirectory() && entry.name !== "sce-variants").map(({ name }) => name);

async function check(name: string, likeMergekit: boolean, share?: number): Promise<void> {
  const { config, notes, expected } = await readCase(name);
  const { out, warnings } = await runCase(config, `${name}-${likeMergekit}`, folder, likeMergekit);
  // Of the case by rows some tensors have more opposed rows than others, which is told.
  expect(warnings.filter((text) => name !== "model-stock-filter-wise" || !text.includes("opposed"))).toEqual([]);
  const actual = await readModel(join(out, "model.safetensors"));
  expect([...actual.values.keys()].sort()).toEqual([...expected.values.keys()].sort());
  expect(actual.values.size).toBe(notes.output.tensors);
  for (const [tensor, shape] of expected.shapes) expect(actual.shapes.get(tensor), tensor).toEqual(shape);
  expect(actual.dtypes.get("model.norm.weight")).toBe(expected.dtypes.get("model.norm.weight"));
  const { dtype, ...rest } = notes.output.config;
  expect(await readJson(join(out, "config.json"))).toMatchObject({ ...rest, torch_dtype: dtype });
  expect(await readdir(out)).toEqual(expect.arrayContaining([...notes.output.files, "README.md", "merge.json"]));
  expect(shareBeyond(actual, expected, notes.tolerance)).toBeLessThanOrEqual(share ?? notes.tolerance.fraction_beyond);
  await checkTokenizer(out, notes);
}

/** Ids and template of the output's tokenizer. */
async function checkTokenizer(out: string, { output }: Notes): Promise<void> {
  if (output.vocab !== undefined) {
    const { vocabulary } = await readTokenizerFile(join(out, "tokenizer.json"));
    const spelled = [...vocabulary].sort(([, a], [, b]) => a - b).map(([token]) => token);
    expect(spelled).toEqual(output.vocab);
    const tokenizer = Tokenizer.fromFile(join(out, "tokenizer.json"));
    expect(output.vocab.map((_, id) => tokenizer.idToToken(id))).toEqual(output.vocab);
  }
  if (output.chat_template === undefined) return;
  const path = join(out, "chat_template.jinja");
  if (output.chat_template === null) expect(await exists(path)).toBe(false);
  else expect(await readFile(path, "utf8")).toBe(output.chat_template);
  expect(await readJson(join(out, "tokenizer_config.json"))).not.toHaveProperty("chat_template");
}

test("there are as many cases as there should be", () => {
  expect(names.length).toBe(45);
});

describe("like mergekit", () => {
  test.each(names)("%s", async (name) => check(name, true));
});

/** Where mergekit loses the coefficients of small updates: what is right there is tested below. */
const SMALL_UPDATES = ["sce-small-delta", "sce-0.5-int8", "sce-0.3-bf16"];

describe("by default, where mergekit is right", () => {
  // Of equal magnitudes at the edge of what TIES keeps mergekit takes any; so many entries of bfloat16 models tie.
  const ties: Readonly<Record<string, number>> = { "ties-bf16": 0.01 };
  test.each(names.filter((name) => !SMALL_UPDATES.includes(name)))("%s", async (name) =>
    check(name, false, ties[name]),
  );
});

describe("by default, where mergekit is wrong", () => {
  test("small updates get their true coefficients", async () => {
    const { config } = await readCase("sce-small-delta");
    const { out } = await runCase(config, "own-small", folder, false);
    const { tensors } = (await readJson(join(out, "merge.json"))) as Merge;
    const { coefficients } = (await readJson(join(GOLDEN, "cases/sce-variants/notes.json"))) as VariantNotes;
    // The variants fusechat and mergekit select the same entries, and the coefficients follow from these alone.
    for (const [name, expected] of Object.entries(coefficients["small-0.1-fusechat"]!)) {
      const found = tensors.find((tensor) => tensor.name === name)!.coefficients!;
      for (const [j, value] of expected.entries()) expect(found[j]).toBeCloseTo(value, 10);
    }
  });
});

interface Merge {
  readonly tensors: readonly { readonly name: string; readonly coefficients?: readonly number[] }[];
}

interface VariantNotes {
  readonly coefficients: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
}
