/** mergekit beside `--like mergekit`: on the golden configurations, and on models of every architecture that it reads. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { exists } from "#src/formats/files.js";
import { readTokenizerFile } from "#src/merge/vocabulary/tokenizer-file.js";
import { goldenFolder } from "../engine/onnx/golden.ts";
import { type Model, readModel } from "../merge/compare.ts";
import { GOLDEN, type Notes, readCase, runCase, shareBeyond } from "../merge/golden-cases.ts";
import { writeNudged } from "./nudged.ts";
import { describeWithPeers, runScript } from "./python.ts";

/** Both sum in float32, in another order. */
const FLOAT32: Notes["tolerance"] = { rel: 3e-6, fraction_beyond: 0 };
/** Where mergekit computes in bfloat16, so many entries of its own are off: 0.35 % with ties, 0.31 % with sce. */
const BFLOAT16_BEYOND = 0.005;

/** Of those that mergekit reads without the class of InternLM2 and without joining experts into one tensor. */
const ARCHITECTURES = ["gemma2", "llama", "llama3", "mistral", "phi3", "qwen2", "qwen3"] as const;
const METHODS: Readonly<Record<string, object>> = {
  sce: { merge_method: "sce", parameters: { select_topk: 0.3 } },
  ties: { merge_method: "ties", parameters: { density: 0.6, weight: 0.4 } },
  model_stock: { merge_method: "model_stock" },
};

interface Case {
  readonly name: string;
  readonly config: string;
  readonly tolerance: Notes["tolerance"];
}

/** All but the one that compares readings of the same algorithm. */
const goldenNames = (await readdir(join(GOLDEN, "cases"), { withFileTypes: true }))
  .filter((entry) => entry.isDirectory() && entry.name !== "sce-variants")
  .map(({ name }) => name);

let folder: string;
/** By the name of the case. */
let cases: Map<string, Case>;
let errors: Map<string, string | null>;

describeWithPeers("mergekit", "nothing was merged by mergekit", () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-peers-"));
    const golden = await Promise.all(goldenNames.map(goldenCase));
    const others = (await Promise.all(ARCHITECTURES.map(architectureCases))).flat();
    cases = new Map([...golden, ...others].map((one) => [one.name, one]));
    const jobs = [...cases.values()].map(({ name, config }) => ({ config, out: theirFolder(name) }));
    const answers = await runScript<(string | null)[]>("run_mergekit.py", jobs, {
      packages: "environment",
      cwd: GOLDEN,
    });
    errors = new Map([...cases.keys()].map((name, index) => [name, answers[index]!]));
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  const names = [...goldenNames, ...ARCHITECTURES.flatMap((name) => Object.keys(METHODS).map((m) => `${name}-${m}`))];
  test.each(names)("%s", async (name) => {
    const { config, tolerance } = cases.get(name)!;
    expect(errors.get(name)).toBeNull();
    const { out } = await runCase(config, name, join(folder, "ours"), true);
    const actual = await readModel(join(out, "model.safetensors"));
    const expected = await inOrderOf(
      join(out, "tokenizer.json"),
      join(theirFolder(name), "tokenizer.json"),
      await readModel(join(theirFolder(name), "model.safetensors")),
    );
    expect(actual.shapes).toEqual(expected.shapes);
    expect(actual.dtypes).toEqual(expected.dtypes);
    expect(shareBeyond(actual, expected, tolerance)).toBeLessThanOrEqual(tolerance.fraction_beyond);
  });
});

function theirFolder(name: string): string {
  return join(folder, "theirs", name);
}

async function goldenCase(name: string): Promise<Case> {
  const { config, notes } = await readCase(name);
  const rounded = await exists(join(GOLDEN, "cases", name, "expected-float64.safetensors"));
  const least = rounded ? BFLOAT16_BEYOND : 0;
  return {
    name,
    config,
    tolerance: { ...notes.tolerance, fraction_beyond: Math.max(notes.tolerance.fraction_beyond, least) },
  };
}

/** Three models that differ from the golden one everywhere, merged by some methods. */
async function architectureCases(architecture: string): Promise<Case[]> {
  const base = goldenFolder(architecture);
  const models = ["a", "b", "c"].map((name) => join(folder, "models", architecture, name));
  for (const model of models) await writeNudged(base, model, `${architecture}/${basename(model)}`);
  return Object.entries(METHODS).map(([name, method]) => ({
    name: `${architecture}-${name}`,
    config: stringify({ ...method, models: models.map((model) => ({ model })), base_model: base, dtype: "float32" }),
    tolerance: FLOAT32,
  }));
}

/** Vocabulary tensors with the rows in our order: mergekit's order of a union is another each time. */
async function inOrderOf(ourTokenizer: string, theirTokenizer: string, model: Model): Promise<Model> {
  const [ours, theirs] = await Promise.all([vocabularyOf(ourTokenizer), vocabularyOf(theirTokenizer)]);
  expect([...theirs.keys()].sort()).toEqual([...ours.keys()].sort());
  const values = new Map(model.values);
  for (const name of ["model.embed_tokens.weight", "lm_head.weight"]) {
    const stored = model.values.get(name);
    if (stored === undefined) continue;
    const width = model.shapes.get(name)![1]!;
    const moved = stored.slice();
    for (const [token, id] of ours) {
      const from = theirs.get(token)! * width;
      moved.set(stored.subarray(from, from + width), id * width);
    }
    values.set(name, moved);
  }
  return { ...model, values };
}

async function vocabularyOf(path: string): Promise<ReadonlyMap<string, number>> {
  return (await readTokenizerFile(path)).vocabulary;
}
