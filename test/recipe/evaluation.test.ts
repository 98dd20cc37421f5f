/** The recipe's `evaluate`: its two forms, what follows from them, and every way to get it wrong. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadRecipe } from "#src/recipe/load.js";
import { attemptRecipe, parseRecipe } from "#src/recipe/parse.js";
import { temporaryFolder, writeRecipe } from "../run/fixtures.ts";

const SHORTEST = "pivot: models/a\nsources: [models/b]\ndata: { path: c.jsonl, max_length: 300 }\n";

function evaluation(text: string) {
  return parseRecipe(`${SHORTEST}evaluate: ${text}\n`, "recipe.yaml").recipe.evaluate;
}

function problems(text: string): readonly string[] {
  return attemptRecipe(`${SHORTEST}evaluate: ${text}\n`, "recipe.yaml").problems;
}

describe("what it may say", () => {
  test("a list of names is the short form of a mapping without judge and gates", () => {
    expect(evaluation("[held-out]")).toEqual(evaluation("{ benchmarks: [{ benchmark: held-out }] }"));
    expect(evaluation("[held-out]")).toEqual(evaluation("{}"));
    expect(evaluation("[]").benchmarks).toEqual([]);
  });

  test("an entry has its benchmark's settings, defaults written out; max_length and irregular are the data's", () => {
    const { benchmarks } = evaluation(
      "[held-out, { benchmark: exact-match, as: sums, rule: choice, models: [pivot, fused] }]",
    );
    expect(benchmarks[0]).toEqual({
      ...{ name: "held-out", benchmark: "held-out", models: null },
      settings: { max_length: 300, irregular: "refuse" },
    });
    expect(benchmarks[1]).toMatchObject({
      ...{ name: "sums", benchmark: "exact-match", models: ["pivot", "fused"] },
      settings: { rule: "choice", temperature: 0 },
    });
  });

  test("a judge and gates", () => {
    const gates = '["fused.held_out < pivot.held_out, p < 0.01", fused.held_out < b.held_out]';
    const { judge, gates: texts } = evaluation(
      `{ judge: { model: gpt-4, url: "http://127.0.0.1:8000/v1", max_calls: 10 }, gates: ${gates} }`,
    );
    expect(judge).toEqual({
      ...{ model: "gpt-4", url: "http://127.0.0.1:8000/v1", concurrency: 8, max_calls: 10, max_tokens: null },
      ...{ timeout: 120, retries: 5 },
    });
    expect(texts).toEqual(["fused.held_out < pivot.held_out, p < 0.01", "fused.held_out < b.held_out"]);
  });

  test("a list in brackets is cut at commas: p then stands on its own", () => {
    expect(evaluation("{ gates: [fused.held_out < pivot.held_out, p < 0.01] }").gates).toHaveLength(2);
  });
});

describe("mistakes", () => {
  test.each([
    ["3", "recipe.yaml:4:11 evaluate: expected a list or a mapping of keys, found 3"],
    [
      "[{ benchmark: exact }]",
      'recipe.yaml:4:25 evaluate[0].benchmark: expected one of held-out, alpaca-eval, mt-bench, exact-match, found "exact"',
    ],
    [
      "{ benchmarks: [{ data: x.jsonl }] }",
      "recipe.yaml:4:26 evaluate.benchmarks[0].benchmark: expected one of held-out, alpaca-eval, mt-bench, exact-match, found nothing",
    ],
    [
      "[{ benchmark: exact-match, rules: number }]",
      'recipe.yaml:4:38 evaluate[0].rules: unknown key; did you mean "rule"?',
    ],
    [
      "[{ benchmark: held-out, rule: number }]",
      "recipe.yaml:4:35 evaluate[0].rule: unknown key; expected one of benchmark, as, models, data, irregular, max_length",
    ],
    [
      "[{ benchmark: exact-match, rule: numbr }]",
      'recipe.yaml:4:44 evaluate[0].rule: expected one of number, last-number, choice, json, text, regex, found "numbr"; did you mean "number"?',
    ],
    [
      "[{ benchmark: held-out, max_length: 0 }]",
      "recipe.yaml:4:47 evaluate[0].max_length: expected at least 1, found 0",
    ],
    [
      "[{ benchmark: mt-bench, judgments: x.jsonl }]",
      "recipe.yaml:4:35 evaluate[0].judgments: unknown key; expected one of benchmark, as, models, questions, prompts, references, max_tokens",
    ],
    [
      "[held-out, held-out]",
      'recipe.yaml:4:22 evaluate[1]: the name "held-out" is taken; give one of the two its own: { benchmark: …, as: … }',
    ],
    [
      "[{ benchmark: held-out, as: Gates }]",
      'recipe.yaml:4:39 evaluate[0].as: "Gates" is the name of a file that the run writes; choose another',
    ],
    [
      "[{ benchmark: held-out, as: mt-bench }]",
      'recipe.yaml:4:39 evaluate[0].as: "mt-bench" is the name of another benchmark; choose another',
    ],
    [
      "[{ benchmark: held-out, models: [pivot, targts] }]",
      'recipe.yaml:4:51 evaluate[0].models[1]: the run has no model "targts"; did you mean "targets"? (there is: a, b, target-b, fused, pivot, sources, targets, merges, baselines)',
    ],
    [
      "{ gates: [fused.held_out < 2, fused.heldout < 2, fused.held_out.nats < 2] }",
      'recipe.yaml:4:41 evaluate.gates[1]: unknown benchmark "heldout"; did you mean "held-out"? (there is: held-out)',
      'recipe.yaml:4:60 evaluate.gates[2]: held-out has no metric "nats" (there is: nats_per_byte, above_floor)',
    ],
    [
      "{ benchmarks: [], gates: [fused.held_out < 2] }",
      'recipe.yaml:4:37 evaluate.gates[0]: unknown benchmark "held_out" (the recipe evaluates nothing)',
    ],
    [
      "{ judge: { url: gpt } }",
      'recipe.yaml:4:27 evaluate.judge.url: expected an address that begins with http:// or https://, found "gpt"',
    ],
    ["{ judge: { key: secret } }", "recipe.yaml:4:22 evaluate.judge.key: unknown key; expected one of model, url,"],
  ])("%s", (text, ...messages) => {
    const found = problems(text);
    expect(found).toHaveLength(messages.length);
    for (const [index, message] of messages.entries()) expect(found[index]).toContain(message);
  });
});

describe("files that it names", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await temporaryFolder();
    for (const model of ["pivot", "source"]) {
      await mkdir(join(folder, model));
      await writeFile(join(folder, model, "config.json"), "{}");
    }
    for (const name of ["data.jsonl", "questions.jsonl"]) await writeFile(join(folder, name), "");
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("are looked up beside the recipe, and become absolute", async () => {
    const entries =
      "[{ benchmark: exact-match, data: data.jsonl }, { benchmark: mt-bench, questions: questions.jsonl }]";
    for (const form of [entries, `{ benchmarks: ${entries} }`]) {
      const text = `pivot: pivot\nsources: [source]\ndata: { path: data.jsonl }\nevaluate: ${form}\n`;
      const { recipe } = await loadRecipe(await writeRecipe(folder, text));
      const [first, second] = recipe.evaluate.benchmarks;
      expect(first!.settings.data).toBe(join(folder, "data.jsonl"));
      expect(second!.settings.questions).toBe(join(folder, "questions.jsonl"));
    }
  });

  test("are told with their place where they are not there", async () => {
    const entries = "[{ benchmark: exact-match, data: no.jsonl }, { benchmark: mt-bench, questions: no }]";
    const text = `pivot: pivot\nsources: [source]\ndata: { path: data.jsonl }\nevaluate: ${entries}\n`;
    const file = await writeRecipe(folder, text);
    const error = await loadRecipe(file).catch((thrown: Error) => thrown);
    expect((error as Error).message.split("\n")).toEqual([
      `${file}:4:44 evaluate[0].data: expected conversations (a file, a folder or a pattern), found nothing at ${folder}/no.jsonl or ${process.cwd()}/no.jsonl`,
      `${file}:4:90 evaluate[1].questions: expected a file, found nothing at ${folder}/no or ${process.cwd()}/no`,
    ]);
  });
});
