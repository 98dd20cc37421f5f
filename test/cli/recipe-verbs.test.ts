/** `init`, `validate` and `plan`, through the command line. */
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCommandLine } from "#src/cli/program.js";
import { loadVerbs } from "#src/cli/verbs.js";
import { CONVERSATIONS, MISTRAL, PICO_RECIPE, QWEN2, temporaryFolder, writeRecipe } from "../run/fixtures.ts";
import { memoryStreams } from "./memory-streams.ts";

const VERBS = await loadVerbs();

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function fusechat(...arguments_: string[]) {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(arguments_, streams, new AbortController().signal, VERBS);
  const neutral = (text: string) => text.replaceAll(folder, "DIR");
  return { exitCode, stdout: neutral(streams.stdout.text), stderr: neutral(streams.stderr.text) };
}

describe("init", () => {
  test("writes a commented recipe into a folder that it makes", async () => {
    expect(await fusechat("init", join(folder, "new/project"))).toEqual({
      exitCode: 0,
      stdout:
        "DIR/new/project/recipe.yaml: set pivot, sources and data, then: fusechat plan DIR/new/project/recipe.yaml\n",
      stderr: "",
    });
    expect(await readFile(join(folder, "new/project/recipe.yaml"), "utf8")).toMatch(/^# yaml-language-server: /);
  });

  test("overwrites nothing without --force", async () => {
    const path = await writeRecipe(folder, "mine");
    expect(await fusechat("init", folder)).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "DIR/recipe.yaml: there is a recipe already; --force overwrites it\n",
    });
    expect(await readFile(path, "utf8")).toBe("mine");
    expect((await fusechat("init", folder, "--force", "--json")).stdout).toBe('{"recipe":"DIR/recipe.yaml"}\n');
    expect(await readFile(path, "utf8")).not.toBe("mine");
  });
});

describe("validate", () => {
  test("a recipe whose models and data can be used is valid", async () => {
    const recipe = await writeRecipe(folder);
    expect(await fusechat("validate", recipe)).toEqual({
      exitCode: 0,
      stdout:
        "DIR/recipe.yaml: valid\n  pivot mistral: mistral, 83,088 parameters\n  source qwen2: qwen2, 84,432 parameters\n" +
        "  data: 8 conversations to train on, 3 held out\n  evaluate held-out: 6 models, 3 prompts each\n",
      stderr: "",
    });
  });

  test("broken weights, an unknown architecture, a missing tokenizer and bad data are told at once", async () => {
    for (const name of ["truncated", "unknown", "silent"]) await cp(MISTRAL, join(folder, name), { recursive: true });
    await truncate(join(folder, "truncated/model.safetensors"), 5000);
    const config = JSON.parse(await readFile(join(folder, "unknown/config.json"), "utf8"));
    await writeFile(join(folder, "unknown/config.json"), JSON.stringify({ ...config, model_type: "rwkv" }));
    await rm(join(folder, "silent/tokenizer.json"));
    await writeFile(join(folder, "data.jsonl"), '{"turns": []}\nnot JSON\n');
    const recipe = await writeRecipe(
      folder,
      "pivot: truncated\nsources: [unknown, silent]\ndata: { path: data.jsonl }\n",
    );
    const { exitCode, stdout, stderr } = await fusechat("validate", recipe);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    const lines = stderr.trim().split("\n");
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatch(/^DIR\/recipe\.yaml:3:15 data\.path: DIR\/data\.jsonl:1: expected/);
    expect(lines[1]).toMatch(/^DIR\/recipe\.yaml:3:15 data\.path: DIR\/data\.jsonl:2: expected a JSON object/);
    expect(lines[2]).toMatch(/^DIR\/recipe\.yaml:1:8 pivot: DIR\/truncated\/model\.safetensors: .*5000/);
    expect(lines[3]).toMatch(
      /^DIR\/recipe\.yaml:2:11 sources\[0\]: DIR\/unknown\/config\.json: model_type: unknown architecture "rwkv"/,
    );
    expect(lines[4]).toMatch(/^DIR\/recipe\.yaml:2:20 sources\[1\]: DIR\/silent: no tokenizer: /);
  });

  test.each([
    ["held_out: 0.0001", "held_out 0.0001 chooses none to evaluate on, found 8 conversations"],
    ["held_out: 0.9999", "held_out 0.9999 leaves none to train on, found 8 conversations"],
    [`held_out_path: ${CONVERSATIONS}`, "every conversation of path stands in held_out_path too"],
  ])("a split that leaves a side empty (%s) is refused", async (split, problem) => {
    const recipe = await writeRecipe(
      folder,
      `pivot: ${MISTRAL}\nsources: [${QWEN2}]\ndata: { path: ${CONVERSATIONS}, ${split} }\n`,
    );
    const { exitCode, stderr } = await fusechat("validate", recipe);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`DIR/recipe.yaml:3:15 data.path: data: ${problem}`);
  });

  test("an empty data set is refused", async () => {
    await writeFile(join(folder, "data.jsonl"), "\n");
    const recipe = await writeRecipe(folder, `pivot: ${MISTRAL}\nsources: [${QWEN2}]\ndata: { path: data.jsonl }\n`);
    expect((await fusechat("validate", recipe)).stderr).toBe(
      "DIR/recipe.yaml:3:15 data.path: DIR/data.jsonl: expected conversations, found none: the data set is empty\n",
    );
  });

  test("a template that fails is refused by name", async () => {
    await cp(QWEN2, join(folder, "qwen2"), { recursive: true });
    const path = join(folder, "qwen2/tokenizer_config.json");
    const config = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...config, chat_template: "{% for x in %}" }));
    const recipe = await writeRecipe(folder, `pivot: ${MISTRAL}\nsources: [qwen2]\ndata: { path: ${CONVERSATIONS} }\n`);
    const { exitCode, stderr } = await fusechat("validate", recipe);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^DIR\/recipe\.yaml:2:11 sources\[0\]: DIR\/qwen2\/tokenizer_config\.json: /m);
  });
});

describe("plan", () => {
  test("steps, tokens, disk, memory and time, and nothing is written", async () => {
    const recipe = await writeRecipe(folder);
    const { exitCode, stdout, stderr } = await fusechat("plan", recipe, "--no-trial");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toContain("mistral  pivot   mistral       83,088      946     367   0");
    expect(stdout).toContain(
      "2 trainings of 12 steps (4 an epoch, 1 of warm-up), 2,838 tokens each, at most 2,048 at a time\ncheckpoints after steps 10, at most 2.0 MB at a time\n",
    );
    expect(stdout).toMatch(/^in all +\S+ kB|MB/m);
    expect(stdout).toMatch(/memory and time are estimates \(assumed \d+ GFLOP\/s on \d+ cores?\)/);
    expect(await readdir(folder)).toEqual(["recipe.yaml"]);
  });

  test("--json is one document; tokens and rows are those of the golden rows", async () => {
    const recipe = await writeRecipe(folder);
    const plan = JSON.parse((await fusechat("plan", recipe, "--json")).stdout);
    expect(plan.conversations).toEqual({ train: 8, held_out: 3, overlapping: 0, left_out: [], prompts: null });
    expect(plan.tokens_counted).toBe(true);
    for (const { name, train_tokens, train_rows } of plan.models) {
      const golden = (await readFile(join(CONVERSATIONS, `../rows/${name}.jsonl`), "utf8")).trim().split("\n");
      const lines = golden.map((line) => JSON.parse(line));
      expect(train_tokens).toBe(lines.reduce((sum, { ids }) => sum + ids.length, 0));
      expect(train_rows).toBe(lines.reduce((sum, { position }) => sum + position.length, 0));
    }
    expect(plan.training).toMatchObject({
      targets: 1,
      fine_tuning_runs: 1,
      conversations: 8,
      steps: 12,
      warmup_steps: 1,
      micro_batch_tokens: 2048,
    });
    expect(plan.stages.every(({ fits }: { fits: boolean }) => fits)).toBe(true);
    const { disk_bytes } = plan.stages.find(({ stage }: { stage: string }) => stage === "distributions mistral");
    expect(disk_bytes / 367).toBe(57);
    expect(plan.throughput).toMatch(/^measured \d+ tokens\/s in a teacher pass of the pivot over 946 tokens$/);
  });

  test("a missing model is an error", async () => {
    const recipe = await writeRecipe(folder, PICO_RECIPE.replace(QWEN2, "gone"));
    await mkdir(join(folder, "gone"));
    const { exitCode, stderr } = await fusechat("plan", recipe);
    expect(exitCode).toBe(2);
    expect(stderr).toBe("DIR/recipe.yaml:2:11 sources[0]: expected a model folder, found no config.json in DIR/gone\n");
  });
});
