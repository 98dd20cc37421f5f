/** What a merge would do, asked in both ways, and what is refused before it begins. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mergeVerb } from "#src/cli/merge.js";
import { planVerb } from "#src/cli/plan.js";
import { runCommandLine } from "#src/cli/program.js";
import { type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { memoryStreams } from "./memory-streams.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-plan-"));
  await model("base", [40, 50]);
  await model("one", [40, 50]);
  await model("two", [40, 50]);
  await model("turned", [50, 40]);
  await model("short", undefined);
  await writeFile(join(folder, "one/tokenizer.json"), tokenizer({ a: 0, b: 1 }));
  await model("other-words", [40, 50]);
  await writeFile(join(folder, "other-words/tokenizer.json"), tokenizer({ a: 1, b: 0 }));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A matrix and a norm; without a shape the norm alone. */
async function model(name: string, shape: readonly [number, number] | undefined): Promise<void> {
  await mkdir(join(folder, name));
  await writeFile(join(folder, name, "config.json"), "{}");
  const norm: Tensor = { dtype: "F32", shape: [6], data: new Float32Array(6) };
  const tensors: [string, Tensor][] = [["model.norm.weight", norm]];
  if (shape !== undefined) {
    const data = new Float32Array(2000);
    tensors.unshift(["model.layers.0.mlp.up_proj.weight", { dtype: "F32", shape, data }]);
  }
  await writeSafetensors(join(folder, name, "model.safetensors"), tensors);
}

function tokenizer(vocab: Readonly<Record<string, number>>): string {
  return JSON.stringify({ added_tokens: [], model: { type: "WordLevel", vocab, unk_token: "a" } });
}

async function run(...parameters: string[]) {
  const streams = memoryStreams();
  const signal = new AbortController().signal;
  const exitCode = await runCommandLine(parameters, streams, signal, [mergeVerb, planVerb]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

async function config(models: readonly string[], more = ""): Promise<string> {
  const file = join(folder, "merge.yaml");
  const list = models.map((name) => `{model: ${name}}`).join(", ");
  await writeFile(file, `merge_method: linear\nparameters: {weight: 1${more}}\nmodels: [${list}]\n`);
  return file;
}

describe("a merge that can be done", () => {
  test("is told in bytes, files and memory by merge --plan and by plan", async () => {
    const before = await readdir(folder);
    const file = await config(["one", "two", "base"], ", density: 0.5");
    const table = await run("plan", file);
    expect(table.exitCode).toBe(0);
    expect(table.stdout.replaceAll(/ +/g, " ").split("\n")).toEqual([
      "method linear",
      "models one, two, base",
      "base model none",
      "tensors 2",
      "parameters 2,006",
      // Three models of 2006 entries of 4 bytes; one more, and its header.
      "read 24 kB",
      "write 8.2 kB",
      "shards 1",
      "largest tensor 8.0 kB",
      "threads 1",
      "memory 85 MB",
      "",
    ]);
    expect(table.stderr).toContain("parameters.density: has no effect on linear");
    const again = await run("merge", file, "--plan");
    expect(again.stdout).toBe(table.stdout);
    expect((await readdir(folder)).filter((name) => !before.includes(name))).toEqual(["merge.yaml"]);
  });

  test("with an output is told with the room on its disk, and as one document with --json", async () => {
    const file = await config(["one", "two"]);
    const out = join(folder, "not-yet/out");
    const { stdout } = await run("merge", file, "--plan", "--out", out, "--shard-size", "1KB", "--json");
    const plan = JSON.parse(stdout);
    expect(plan).toMatchObject({ read_bytes: 16048, shards: 2, already_done: false, warnings: [] });
    expect(plan.free_disk_bytes).toBeGreaterThan(1e6);
    expect(await readdir(folder)).not.toContain("not-yet");
  });

  test("that has been done already is recognised", async () => {
    const file = await config(["one", "two"]);
    const out = join(folder, "done");
    expect((await run("merge", file, "--out", out)).exitCode).toBe(0);
    expect((await run("merge", file, "--plan", "--out", out)).stdout).toMatch(/^already done +yes$/m);
    await rm(out, { recursive: true });
  });
});

describe("before it begins is refused", () => {
  test.each([
    [
      "a tensor that a model lacks",
      "short",
      /short: expected the tensor "model\.layers\.0\.mlp\.up_proj\.weight" of one/,
    ],
    [
      "shapes that differ",
      "turned",
      /up_proj\.weight": expected one shape, found \[40, 50\] in one and \[50, 40\] in turned/,
    ],
    [
      "other tokens without a rule",
      "other-words",
      /tokenizer\.json: expected the tokens of one, but the id of "a" is 0 there and 1 in other-words; say with tokenizer/,
    ],
    ["a model that is not there", "nobody", /"nobody": expected a model folder, found none at /],
  ])("%s, by merge, merge --plan and plan alike", async (_, name, message) => {
    const file = await config(["one", name]);
    const out = join(folder, "refused");
    const answers = [
      await run("merge", file, "--out", out),
      await run("merge", file, "--plan", "--out", out),
      await run("plan", file),
    ];
    for (const { exitCode, stdout, stderr } of answers) {
      expect(stderr).toMatch(message);
      expect(stderr.trim().split("\n")).toHaveLength(1);
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    }
    expect(await readdir(folder)).not.toContain("refused");
  });

  test("an output folder that holds something else", async () => {
    const file = await config(["one", "two"]);
    const { exitCode, stderr } = await run("merge", file, "--plan", "--out", folder);
    expect(stderr).toBe(`${folder}: the folder exists and holds other files; choose another one or remove it\n`);
    expect(exitCode).toBe(2);
  });

  test("a merge without an output", async () => {
    const { exitCode, stderr } = await run("merge", await config(["one", "two"]));
    expect(stderr).toBe("fusechat merge: required option '--out <folder>' not specified\n");
    expect(exitCode).toBe(2);
  });
});
