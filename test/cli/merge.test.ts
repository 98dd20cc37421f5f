/** The verb against mergekit's own results and against merges computed in float64. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mergeVerb } from "#src/cli/merge.js";
import { runCommandLine } from "#src/cli/program.js";
import { exists, readJson, sha256OfFile } from "#src/formats/files.js";
import { readModel, relative, rms } from "../merge/compare.ts";
import { memoryStreams } from "./memory-streams.ts";

const golden = resolve(import.meta.dirname, "../golden");
const cases = join(golden, "merge/cases");

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function merge(...arguments_: string[]) {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(["merge", ...arguments_], streams, new AbortController().signal, [mergeVerb]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

/** Runs a configuration whose model paths are relative to a golden folder. */
async function mergeText(text: string, name: string, paths: string, ...flags: string[]) {
  const config = join(folder, `${name}.yaml`);
  const absolute = text.replace(/(?<= )(models|pipeline)\//g, `${paths}/$1/`);
  await writeFile(config, absolute);
  const out = join(folder, name);
  return { ...(await merge(config, "--out", out, ...flags)), out };
}

interface Merge {
  readonly tensors: readonly { readonly name: string; readonly coefficients?: readonly number[] }[];
}

interface VariantNotes {
  readonly coefficients: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  readonly update_norms: Readonly<Record<string, number>>;
}

describe("SCE in its three variants, in float64", () => {
  const sets = { ft: ["ft1", "ft2", "ft3", "ft4"], small: ["small1", "small2", "small3", "small4"] };
  const grid = Object.entries(sets).flatMap(([set, models]) =>
    ["0.1", "1.0"].flatMap((share) =>
      ["paper", "fusechat", "mergekit"].map((variant) => ({ set, models, share, variant })),
    ),
  );
  test.each(grid)("$set, select_topk $share, $variant", async ({ set, models, share, variant }) => {
    const name = `${set}-${share}-${variant}`;
    const list = models.map((model) => `  - model: models/${model}\n`).join("");
    const parameters = `parameters:\n  variant: ${variant}\n  select_topk: ${share}\n`;
    const text = `merge_method: sce\nbase_model: models/base\ndtype: float64\n${parameters}models:\n${list}`;
    const { exitCode, out } = await mergeText(text, name, join(golden, "merge"));
    expect(exitCode).toBe(0);
    const actual = await readModel(join(out, "model.safetensors"));
    const expected = await readModel(join(cases, `sce-variants/expected-${name}.safetensors`));
    for (const [tensor, values] of expected.values) {
      const found = actual.values.get(tensor)!;
      const largest = values.reduce((most, value, i) => Math.max(most, Math.abs(found[i]! - value)), 0);
      expect(largest).toBeLessThan(1e-9);
    }
    const notes = (await readJson(join(cases, "sce-variants/notes.json"))) as VariantNotes;
    const { tensors } = (await readJson(join(out, "merge.json"))) as Merge;
    for (const [tensor, coefficients] of Object.entries(notes.coefficients[name]!)) {
      const found = tensors.find((other) => other.name === tensor)!.coefficients!;
      for (const [j, value] of coefficients.entries()) expect(found[j]).toBeCloseTo(value, 10);
    }
    const base = await readModel(join(golden, "merge/models/base/model.safetensors"));
    let squares = 0;
    for (const tensor of expected.values.keys()) {
      const origin = base.values.get(tensor)!;
      const found = actual.values.get(tensor)!;
      for (let i = 0; i < origin.length; i++) squares += (found[i]! - origin[i]!) ** 2;
    }
    expect(Math.sqrt(squares)).toBeCloseTo(notes.update_norms[name]!, 8);
  });
});

describe("merges of the pipeline's targets", () => {
  const sce = (variant: string): string =>
    `merge_method: sce\nbase_model: models/mistral\nparameters: {select_topk: 0.5, variant: ${variant}}\n` +
    "models: [{model: pipeline/targets/qwen2}, {model: pipeline/targets/gemma2}]\n";
  const configs = {
    "sce-fusechat": sce("fusechat"),
    "sce-paper": sce("paper"),
    "sce-mergekit": sce("mergekit"),
    linear:
      "merge_method: linear\nmodels:\n- {model: pipeline/targets/qwen2, parameters: {weight: 1}}\n" +
      "- {model: pipeline/targets/gemma2, parameters: {weight: 2}}\n",
  };
  test.each(Object.entries(configs))("%s", async (name, text) => {
    const { exitCode, out } = await mergeText(text, `pipeline-${name}`, golden);
    expect(exitCode).toBe(0);
    const actual = await readModel(join(out, "model.safetensors"));
    const expected = await readModel(join(golden, "pipeline/fused", name, "model.safetensors"));
    const { merge: notes } = (await readJson(join(golden, "pipeline/expected.json"))) as {
      merge: { tied_at_selection: Record<string, Record<string, number>> };
    };
    const tied = notes.tied_at_selection[name.replace("sce-", "")] ?? {};
    expect([...actual.values.keys()].sort()).toEqual([...expected.values.keys()].sort());
    for (const [tensor, values] of expected.values) {
      const found = actual.values.get(tensor)!;
      const far = values.filter((value, i) => Math.abs(found[i]! - value) > 1e-6).length;
      expect(far, tensor).toBeLessThanOrEqual(tied[tensor] ?? 0);
    }
  });
});

describe("what is wrong with a configuration", () => {
  interface Rejected {
    readonly name: string;
    readonly config: string;
  }
  const paths = join(golden, "merge");
  test("is told with exit code 2, and nothing is written", async () => {
    const list = (await readJson(join(cases, "rejected.json"))) as readonly Rejected[];
    const { config } = list.find(({ name }) => name === "key-misspelt")!;
    const { exitCode, stderr, stdout, out } = await mergeText(config, "misspelt", paths);
    expect(stderr).toContain(':6:1: out_dtyp: unknown key; did you mean "out_dtype"?');
    expect(stdout).toBe("");
    expect(exitCode).toBe(2);
    expect(await exists(out)).toBe(false);
  });

  test("parameters of other methods, and shares that select nothing, are warned about", async () => {
    const list = (await readJson(join(cases, "rejected.json"))) as readonly Rejected[];
    const other = list.find(({ name }) => name === "parameter-of-another-method")!;
    const first = await mergeText(other.config, "warned-other", paths);
    expect(first.stderr).toContain(":3:16: models[0].parameters.weight: has no effect on sce");
    expect(first.stderr).toContain(":8:14: parameters.density: has no effect on sce");
    expect(first.exitCode).toBe(0);
    const nothing = list.find(({ name }) => name === "select-topk-negative")!;
    const second = await mergeText(nothing.config, "warned-nothing", paths);
    expect(second.stderr).toContain("select_topk -0.5 selects nothing");
    const merged = await readModel(join(second.out, "model.safetensors"));
    const base = await readModel(join(paths, "models/base/model.safetensors"));
    for (const [name, values] of base.values) expect(merged.values.get(name)).toEqual(values);
  });

  test("--like mergekit passes over what it does not know, with a warning", async () => {
    const list = (await readJson(join(cases, "rejected.json"))) as readonly Rejected[];
    const misspelt = list.find(({ name }) => name === "parameter-misspelt")!;
    const { exitCode, stderr } = await mergeText(misspelt.config, "like-misspelt", paths, "--like", "mergekit");
    expect(stderr).toContain('did you mean "select_topk"?; ignored, as mergekit does');
    expect(exitCode).toBe(0);
  });
});

describe("the output folder", () => {
  const text = "merge_method: linear\nmodels: [{model: models/ft1}, {model: models/ft2}]\nparameters: {weight: 1}\n";
  const paths = join(golden, "merge");

  test("a finished merge is recognised, another one is refused and stays as it is", async () => {
    const first = await mergeText(text, "again", paths);
    expect(first.stdout).toContain("linear, ");
    expect(first.stdout).toContain("GB/s");
    const second = await mergeText(text, "again", paths);
    expect(second.stdout).toContain("already holds this merge; nothing was done");
    expect(second.exitCode).toBe(0);
    const before = await sha256OfFile(join(first.out, "model.safetensors"));
    const other = await mergeText(text.replace("weight: 1", "weight: 1, normalize: false"), "again", paths);
    expect(other.stderr).toBe(
      `${other.out}: the folder exists and holds another merge; choose another one or remove it\n`,
    );
    expect(other.exitCode).toBe(2);
    expect(await sha256OfFile(join(first.out, "model.safetensors"))).toBe(before);
  });

  test("--shard-size cuts the weights, in bytes or with a unit", async () => {
    for (const [size, shards] of [
      ["60KB", 2],
      ["0.06 MB", 2],
      ["1000000", 1],
    ] as const) {
      const { exitCode, out } = await mergeText(text, `size-${size}`, paths, "--shard-size", size);
      expect(exitCode).toBe(0);
      expect((await readdir(out)).filter((name) => name.endsWith(".safetensors")).length).toBe(shards);
    }
    const wrong = await mergeText(text, "size-wrong", paths, "--shard-size", "5XB");
    expect(wrong.stderr).toContain("argument '5XB' is invalid. Expected a size such as 500MB or 5GB");
    expect(wrong.exitCode).toBe(2);
    expect(await exists(wrong.out)).toBe(false);
  });

  test("model paths are looked up beside the configuration", async () => {
    const beside = join(folder, "beside");
    await cp(join(paths, "models/ft1"), join(beside, "models/ft1"), { recursive: true });
    await cp(join(paths, "models/ft2"), join(beside, "models/ft2"), { recursive: true });
    await writeFile(join(beside, "merge.yaml"), text);
    const { exitCode } = await merge(join(beside, "merge.yaml"), "--out", join(beside, "out"), "--json");
    expect(exitCode).toBe(0);
    expect(await readFile(join(beside, "out/README.md"), "utf8")).toContain("| `models/ft1` | merged | `");
    expect((await readdir(beside)).sort()).toEqual(["merge.yaml", "models", "out"]);
  });

  test("the merged tensor is the mean", async () => {
    const { out } = await mergeText(text, "mean", paths);
    const merged = await readModel(join(out, "model.safetensors"));
    const [a, b] = await Promise.all(
      ["ft1", "ft2"].map((name) => readModel(join(paths, "models", name, "model.safetensors"))),
    );
    for (const [name, values] of merged.values) {
      const expected = a!.values.get(name)!.map((value, i) => Math.fround((value + b!.values.get(name)![i]!) / 2));
      expect(relative(values, expected, 0).largest).toBeLessThan(1e-6);
      expect(rms(values)).toBeGreaterThan(0);
    }
  });
});
