/** `evaluate` of finished judgments, as FORMATS writes the commands: the benchmarks' own files, no model, no engine. */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evaluateVerb } from "#src/cli/evaluate.js";
import { runCommandLine } from "#src/cli/program.js";
import { publishedQuestions } from "#src/evaluate/benchmarks/mt-bench/questions.js";
import { tellMissing } from "../shared.ts";
import { memoryStreams } from "./memory-streams.ts";

const shared = resolve(import.meta.dirname, "../../../shared/data");
const isThere = existsSync(shared);
const alpaca = join(shared, "alpaca_eval_2");
const judgments = join(shared, "mt_bench_judgments/gpt-4_single.jsonl");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-cli-finished-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function evaluate(...arguments_: string[]) {
  const streams = memoryStreams();
  const signal = new AbortController().signal;
  const exitCode = await runCommandLine(["evaluate", ...arguments_], streams, signal, [evaluateVerb]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

tellMissing(isThere, "published files were not read");

describe.runIf(isThere)("alpaca-eval", () => {
  const files = [
    ...["--annotations", join(alpaca, "example/annotations.json")],
    ...["--gamed", join(alpaca, "df_gamed.csv"), "--difficulty", join(alpaca, "instruction_difficulty.csv")],
  ];

  test("annotations are scored, and the document is kept below --out", async () => {
    const { exitCode, stdout, stderr } = await evaluate("alpaca-eval", ...files, "--json", "--out", folder);
    expect(exitCode, stderr).toBe(0);
    const document = JSON.parse(stdout);
    expect(Object.keys(document).slice(0, 3)).toEqual(["benchmark", "model", "metrics"]);
    const { win_rate, length_controlled_win_rate, discrete_win_rate } = document.metrics;
    expect(win_rate.value).toBeCloseTo(2.591451, 5);
    expect(length_controlled_win_rate.value).toBeCloseTo(5.8754, 2);
    expect(discrete_win_rate).toMatchObject({ unit: "%", prompts: 805 });
    expect(JSON.parse(await readFile(join(folder, "alpaca-eval", `${document.model}.json`), "utf8"))).toEqual(document);
  });

  test("--against compares with another model's annotations", async () => {
    const { stdout } = await evaluate("alpaca-eval", ...files, "--against", files[1]!);
    expect(stdout).toMatch(
      /^\S+ minus \S+, on the 805 prompts of both:\n {2}win_rate +\+0\.00 \[\+0\.00, \+0\.00\] p 1/m,
    );
  });
});

describe.runIf(isThere)("mt-bench", () => {
  test("FastChat's judgments are scored without the questions, by the published categories", async () => {
    const { exitCode, stdout, stderr } = await evaluate("mt-bench", "--judgments", judgments, "--json");
    expect(exitCode, stderr).toBe(0);
    const { model, metrics } = JSON.parse(stdout);
    const [expected] = JSON.parse(readFileSync(join(judgments, "../expected.json"), "utf8"));
    expect(model).toBe(expected.model);
    const figures = { turn_1: expected.turn1, turn_2: expected.turn2, average: expected.average };
    for (const [name, value] of Object.entries(figures))
      expect(Math.abs(metrics[name].value - value)).toBeLessThan(1e-9);
    for (const [category, value] of Object.entries<number>(expected.per_category)) {
      expect(Math.abs(metrics[`category/${category}`].value - value)).toBeLessThan(1e-9);
    }
  });

  test("the published categories are those of the questions' file", () => {
    const lines = readFileSync(join(shared, "chat/mt_bench/question.jsonl"), "utf8").trim().split("\n");
    const published = lines.map((line) => JSON.parse(line)).map(({ question_id: id, category }) => ({ id, category }));
    expect(publishedQuestions().map(({ id, category }) => ({ id, category }))).toEqual(published);
  });

  test("--name and --against choose among several models of one file", async () => {
    const several = join(folder, "several.jsonl");
    const text = await readFile(judgments, "utf8");
    await writeFile(several, text + text.replaceAll("Meta-Llama-3-8B-Instruct-Griffin", "other"));
    const { exitCode, stdout, stderr } = await evaluate(
      ...["mt-bench", "--judgments", several, "--name", "other", "--against", "Meta-Llama-3-8B-Instruct-Griffin"],
    );
    expect(exitCode, stderr).toBe(0);
    expect(stdout).toMatch(/^other minus Meta-Llama-3-8B-Instruct-Griffin, on the 80 prompts of both:$/m);
  });
});

describe("a wrong command line ends with 2", () => {
  test.each([
    [
      ["mt-bench", "--model", "m"],
      "fusechat evaluate mt-bench: needs a judge; add --judge MODEL --judge-url URL, or set FUSECHAT_JUDGE_MODEL and FUSECHAT_JUDGE_URL (a key comes from OPENAI_API_KEY)",
    ],
    [
      ["exact-match", "--model", "m", "--model", "n", "--ensemble", "judge", "--data", "d"],
      "fusechat evaluate exact-match: needs a judge; add --judge MODEL",
    ],
    [
      ["alpaca-eval", "--judgments", "x"],
      "--judgments: does not belong to evaluate alpaca-eval (which takes --annotations, ",
    ],
    [["held-out", "--annotation", "x"], "unknown option '--annotation'"],
    [
      ["held-out", "--annotations", "x"],
      "--annotations: does not belong to evaluate held-out (which takes --data, --irregular, --max-length)",
    ],
    [
      ["held-out", "--model", "m", "--judge", "x"],
      "--judge: does not belong to evaluate held-out, which asks no judge",
    ],
    [
      ["exact-match", "--against", "m", "--data", "d"],
      "--against: there is no model to compare it with; add --model FOLDER",
    ],
    [
      ["exact-match", "--model", "m", "--rule", "numbr"],
      '--rule: expected one of number, last-number, choice, json, text, regex, found "numbr"; did you mean "number"?',
    ],
    [["exact-match", "--model", "m", "--max-tokens", "many"], '--max-tokens: expected a number, found "many"'],
    [
      ["mt-bench", "--model", "m", "--judge", "gpt"],
      "--judge: gpt needs the address of its server; add --judge-url URL (OpenAI's is https://api.openai.com/v1)",
    ],
    [["mt-bench", "--model", "m", "--judge-url", "http://x/v1"], "--judge-url: names no model; add --judge MODEL"],
    [
      ["mt-bench", "--model", "m", "--judge", "g", "--judge-url", "x"],
      '--judge-url: expected an address such as http://127.0.0.1:8000/v1, found "x"',
    ],
    [
      ["mt-bench", "--model", "m", "--judge", "g", "--judge-url", "http://x", "--judge-key-env", "NO_SUCH"],
      "--judge-key-env: the environment variable NO_SUCH is not set",
    ],
    [["held-out", "--models", "fused", "--data", "d"], "--models: chooses among the models of a run; add --run RUN"],
    [["held-out", "--run", "/nowhere"], "/nowhere: expected a run directory, found no plan.json in it"],
    [["held-out", "--model", "m", "--model", "m", "--data", "d"], "m: is there twice; leave one of them out"],
    [
      ["exact-match", "--model", "m", "--ensemble", "judge", "--data", "d"],
      "--ensemble: expected at least two models, found 1",
    ],
  ])("%j", async (arguments_, message) => {
    const { exitCode, stdout, stderr } = await evaluate(...arguments_);
    expect(stderr).toContain(message);
    expect({ exitCode, stdout, lines: stderr.trim().split("\n").length }).toEqual({
      exitCode: 2,
      stdout: "",
      lines: 1,
    });
  });
});
