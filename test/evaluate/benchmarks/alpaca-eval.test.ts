import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { AlpacaEvalResult } from "#src/evaluate/benchmarks/alpaca-eval/result.js";
import { alpacaEval } from "#src/evaluate/benchmarks/alpaca-eval.js";
import type { BenchmarkRequest, BenchmarkSettings } from "#src/evaluate/benchmarks/benchmark.js";
import { type Behaviour, type ServedRequest, startServer, type TestServer } from "../../engine/endpoint/server.ts";
import {
  annotations,
  BASELINE,
  BASELINE_NAME,
  COUNT,
  contextWithoutEngine,
  DIFFICULTY_TABLE,
  filesIn,
  GAMED_TABLE,
  INSTRUCTIONS,
  JUDGE_PROMPT,
  OUTPUTS,
  request,
} from "./alpaca-eval/files.ts";

const servers: TestServer[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function files<Name extends string>(
  content: Readonly<Record<Name, readonly unknown[] | string>>,
): Promise<Record<Name | "folder", string>> {
  const paths = await filesIn(content);
  folders.push(paths.folder);
  return paths;
}

/** The small annotations, with both tables. */
async function score(
  records: readonly unknown[] = annotations(),
  settings: BenchmarkSettings = {},
): Promise<{ result: AlpacaEvalResult; warnings: readonly string[] }> {
  const paths = await files({ a: records, gamed: GAMED_TABLE, difficulty: DIFFICULTY_TABLE });
  const context = contextWithoutEngine();
  const given = { annotations: paths.a, gamed: paths.gamed, difficulty: paths.difficulty, ...settings };
  return { result: await alpacaEval.evaluate(request(given), context), warnings: context.warnings };
}

describe("finished annotations", () => {
  test("give the mean preference, its standard error, and wins by which side of 1.5 they lie on", async () => {
    const preferences = [1, 1.25, 1.5, 1.5000001, 2, 1.75];
    const records = annotations((place) => (place < 6 ? { preference: preferences[place] } : { preference: null }));
    const { result } = await score(records);
    const wins = preferences.map((preference) => 100 * (preference - 1));
    const mean = wins.reduce((sum, win) => sum + win, 0) / 6;
    const squares = wins.reduce((sum, win) => sum + (win - mean) ** 2, 0);
    expect(result.metrics.win_rate!.value).toBeCloseTo(mean, 12);
    expect(result.metrics.win_rate!).toMatchObject({ unit: "%", prompts: 6 });
    expect(result.metrics.discrete_win_rate!.value).toBeCloseTo((100 * (3 + 0.5)) / 6, 12);
    expect(result.leaderboard).toMatchObject({ n_wins: 3, n_wins_base: 2, n_draws: 1, n_total: 6 });
    expect(result.leaderboard.standard_error).toBeCloseTo(Math.sqrt(squares / 5 / 6), 12);
    expect(result.metrics.length_controlled_win_rate!.prompts).toBe(COUNT);
  });

  test("without a preference are counted and shown, never guessed", async () => {
    const records = annotations((place) =>
      place === 3 ? { preference: null, raw_completion: { text: "Neither of the two." } } : {},
    );
    const { result } = await score(records);
    expect(result.prompts).toBe(COUNT);
    expect(result.unparsed).toEqual([{ id: "3", answer: "Neither of the two." }]);
    const text = alpacaEval.describe(result).join("\n");
    expect(text).toContain("11 of 12 instructions have a preference");
    expect(text).toContain("1 judgments could not be read and count nowhere");
    expect(text).toContain('instruction 3, no preference in: "Neither of the two."');
  });

  test("of which none could be read have no figure", async () => {
    await expect(score(annotations(() => ({ preference: null })))).rejects.toThrow(
      "alpaca-eval ours: none of the judge's 12 answers names one of the two models",
    );
  });

  test("give the same document twice, and intervals around the figures", async () => {
    const [first, second] = [await score(), await score()];
    expect(JSON.stringify(first.result)).toBe(JSON.stringify(second.result));
    for (const { low, value, high } of Object.values(first.result.metrics)) {
      expect(low).toBeLessThan(value);
      expect(high).toBeGreaterThan(value);
    }
  });

  test("that the model answered with nothing are counted and told", async () => {
    const { result } = await score(annotations((place) => (place < 2 ? { output_2: "", preference: 1 } : {})));
    expect(result.empty_outputs).toBe(2);
    expect(alpacaEval.describe(result).join("\n")).toContain("2 empty");
  });

  test("without the tables have no length-controlled win rate, and with one of them alone are refused", async () => {
    const { result, warnings } = await score(annotations(), { gamed: undefined, difficulty: undefined });
    expect(Object.keys(result.metrics)).toEqual(["win_rate", "discrete_win_rate"]);
    expect(warnings).toEqual([expect.stringMatching(/^no length-controlled win rate without --gamed/)]);
    await expect(score(annotations(), { gamed: undefined })).rejects.toThrow(
      /needs both --gamed df_gamed\.csv and --difficulty instruction_difficulty\.csv, found only --difficulty$/,
    );
  });

  test("are not judged again: outputs beside them are refused", async () => {
    await expect(score(annotations(), { outputs: "outputs.json" })).rejects.toThrow(
      "alpaca-eval: --annotations are scored and --outputs judged; give one of them",
    );
  });

  test("of fewer instructions than the tables have are told, of more refused", async () => {
    const { result, warnings } = await score(annotations().slice(0, 10));
    expect(result.prompts).toBe(10);
    expect(warnings).toEqual([
      "10 of 12 instructions are judged; none can be told, so their difficulties are taken row by row",
      "length control rests on tables of the judge weighted_alpaca_eval_gpt4_turbo, and a-judge may see length otherwise",
    ]);
    const more = [...annotations(), { ...annotations()[0]!, instruction: "One more." }];
    await expect(score(more)).rejects.toThrow(
      /the table of difficulties has 12 instructions, and instruction 13 is judged/,
    );
  });

  test("are checked against the baseline's file where that is given, and put into its order", async () => {
    const { baseline } = await files({ baseline: BASELINE });
    const ordered = await score(annotations(), { baseline: baseline });
    const reversed = await score(annotations().reverse(), { baseline: baseline });
    expect(reversed.result).toEqual(ordered.result);
    const other = await files({ baseline: BASELINE.map((record) => ({ ...record, generator: "another" })) });
    await expect(score(annotations(), { baseline: other.baseline })).rejects.toThrow(/expected the baseline another/);
  });
});

describe("two models", () => {
  const better = () => annotations((place) => ({ generator_2: "theirs", preference: 1.1 + 0.05 * (place % 3) }));

  test("are compared instruction by instruction, wherever they stand in their files", async () => {
    const [a, b] = [(await score()).result, (await score(better())).result];
    const shuffled = { ...b, per_prompt: [...b.per_prompt].reverse() };
    const comparison = alpacaEval.compare(a, shuffled);
    expect(comparison).toMatchObject({ model: "ours", against: "theirs", prompts: COUNT });
    expect(Object.keys(comparison.metrics)).toEqual(Object.keys(a.metrics));
    for (const [name, { value, low, high, p, prompts }] of Object.entries(comparison.metrics)) {
      expect(value).toBeCloseTo(a.metrics[name]!.value - b.metrics[name]!.value, 9);
      expect(low).toBeLessThanOrEqual(value);
      expect(high).toBeGreaterThanOrEqual(value);
      expect(p).toBeGreaterThan(0);
      expect(prompts).toBe(COUNT);
    }
  });

  test("of which one has no preference somewhere are compared on the others", async () => {
    const [a, b] = [
      (await score()).result,
      (await score(annotations((i) => (i === 0 ? { preference: null } : {})))).result,
    ];
    const { metrics } = alpacaEval.compare(a, b);
    expect(metrics.win_rate).toMatchObject({ value: 0, prompts: COUNT - 1 });
  });

  test("judged by different judges, or against different baselines, do not compare", async () => {
    const [a, b] = [(await score()).result, (await score(better())).result];
    expect(() => alpacaEval.compare(a, { ...b, judge: "another" })).toThrow(
      "alpaca-eval: ours was judged by a-judge and theirs by another; these win rates do not compare",
    );
    expect(() => alpacaEval.compare(a, { ...b, baseline: "x" })).toThrow(/ours was judged against gpt4_1106_preview/);
    expect(() => alpacaEval.compare(a, { ...b, per_prompt: [] })).toThrow(/have no instruction in common/);
  });
});

/** Says how it likes capital letters: P(m) is 0.8 where `m` has them, 0.4 where `M` has. */
function likesCapitals({ messages }: ServedRequest): Behaviour {
  const first = messages[1]!.content.split("\n").find((line) => line.startsWith("m: "))!;
  const share = first.includes("WORD") ? 0.8 : 0.4;
  const top = [
    { token: "m", logprob: Math.log(0.9 * share) },
    { token: "M", logprob: Math.log(0.9 * (1 - share)) },
    { token: "The", logprob: Math.log(0.1) },
  ];
  return {
    text: share > 0.5 ? "m" : "M",
    finish: "length",
    topLogprobs: [top],
    usage: { prompt_tokens: 100, completion_tokens: 1 },
  };
}

describe("outputs and a judge", () => {
  async function given(
    judge: (request: ServedRequest) => Behaviour,
    settings: BenchmarkSettings = {},
    outputs: readonly unknown[] = OUTPUTS,
  ) {
    const server = await startServer(judge);
    servers.push(server);
    const paths = await files({
      baseline: BASELINE,
      outputs,
      prompt: JUDGE_PROMPT,
      gamed: GAMED_TABLE,
      difficulty: DIFFICULTY_TABLE,
    });
    const out = join(paths.folder, "out");
    const endpoint = { url: server.url, model: "a/judge", concurrency: 4, timeoutSeconds: 10, attempts: 1 };
    const { baseline, gamed, difficulty, prompt: judge_prompt } = paths;
    const asked = request(
      { baseline, outputs: paths.outputs, gamed, difficulty, judge_prompt, ...settings },
      { judge: { endpoint }, out },
    );
    const context = contextWithoutEngine();
    return { server, asked, context, out, endpoint, evaluate: () => alpacaEval.evaluate(asked, context) };
  }

  test("give annotations in the benchmark's form, which score to the same figures", async () => {
    const { server, asked, evaluate, out } = await given(likesCapitals, { both_orders: false });
    const result = await evaluate();
    expect(server.requests.length).toBe(COUNT);
    expect(server.requests[0]).toMatchObject({ temperature: 1, logprobs: true, top_logprobs: 5 });
    // 0.8 with the model first, 1 - 0.4 with the baseline first.
    const expected = result.per_prompt.map(({ preference }) => preference!.toFixed(6));
    expect(new Set(expected)).toEqual(new Set(["1.800000", "1.600000"]));
    expect(result.judge_tokens).toEqual({ questions: COUNT, prompt: 100 * COUNT, answer: COUNT });
    const written = JSON.parse(await readFile(join(out, "annotations.json"), "utf8"));
    expect(written[0]).toMatchObject({
      instruction: INSTRUCTIONS[0],
      output_1: BASELINE[0]!.output,
      generator_1: BASELINE_NAME,
      dataset: "small",
      output_2: OUTPUTS[0]!.output,
      generator_2: "ours",
      annotator: "a/judge",
    });
    expect(written[0].raw_completion.logprobs.content[0].top_logprobs.length).toBe(3);
    expect(JSON.parse(await readFile(join(out, "model_outputs.json"), "utf8"))[0]).toEqual(OUTPUTS[0]);
    const { gamed, difficulty } = asked.settings;
    const again = request({ annotations: join(out, "annotations.json"), gamed, difficulty });
    const scored = await alpacaEval.evaluate(again, contextWithoutEngine());
    expect(scored.metrics).toEqual(result.metrics);
    expect(scored.per_prompt).toEqual(result.per_prompt);
  });

  test("are asked both ways round on request, averaged, with the disagreement told", async () => {
    const { server, evaluate } = await given(likesCapitals, { both_orders: true });
    const result = await evaluate();
    expect(server.requests.length).toBe(2 * COUNT);
    for (const { preference, orders } of result.per_prompt) {
      expect(preference).toBeCloseTo(1.7, 12);
      expect(orders![0]).toBeCloseTo(1.6, 12);
      expect(orders![1]).toBeCloseTo(1.8, 12);
    }
    expect(result.orders).toMatchObject({ prompts: COUNT, disagree: 0 });
    expect(result.orders!.first_wins).toBeCloseTo(60, 10);
    const taste = await (
      await given(() => ({ text: "m", topLogprobs: [[{ token: "m", logprob: -0.1 }]] }), { both_orders: true })
    ).evaluate();
    expect(taste.orders).toEqual({ prompts: COUNT, disagree: COUNT, first_wins: 100 });
    expect(alpacaEval.describe(taste).join("\n")).toContain(
      "both orders: 12 of 12 instructions have another winner in the other order; the answer that stands first wins 100.0 %",
    );
  });

  test("are not asked twice: another call takes the kept judgments", async () => {
    const { server, evaluate } = await given(likesCapitals);
    const first = await evaluate();
    expect(await evaluate()).toEqual(first);
    expect(server.count).toBe(COUNT);
  });

  test("are judged where the judge answers, and the rest is asked for again", async () => {
    let broken = true;
    const { server, evaluate } = await given((asked) =>
      broken && asked.messages[1]!.content.includes("3 times")
        ? { status: 400, body: { error: "no" } }
        : likesCapitals(asked),
    );
    await expect(evaluate()).rejects.toThrow(/alpaca-eval ours: 1 of 12 judgments are missing|400/);
    broken = false;
    const before = server.count;
    await evaluate();
    expect(server.count).toBeLessThanOrEqual(COUNT + 1);
    expect(server.count).toBeGreaterThan(before);
  });

  test("an answer that names neither is kept and counted, and scores nothing", async () => {
    const { evaluate } = await given((asked) =>
      asked.messages[1]!.content.includes("Say {output_1} 3 times")
        ? { text: "Both", topLogprobs: [[{ token: "Both", logprob: -0.1 }]] }
        : likesCapitals(asked),
    );
    const result = await evaluate();
    expect(result.unparsed).toEqual([{ id: "2", answer: "Both" }]);
    expect(result.per_prompt[2]!.preference).toBeNull();
    expect(result.metrics.win_rate!.prompts).toBe(COUNT - 1);
  });

  test("a judge without log-probabilities is refused in a sentence", async () => {
    const { evaluate } = await given(() => ({ text: "m" }));
    await expect(evaluate()).rejects.toThrow(
      /^judge a\/judge: answers without log-probabilities, which AlpacaEval 2\.0's preference is made of; take a server/,
    );
    await expect(evaluate()).rejects.toHaveProperty("exitCode", 2);
  });

  test("an empty answer loses and equal ones draw, unasked; a model that answers nothing is refused", async () => {
    const some = OUTPUTS.map((record, place) => {
      if (place === 0) return { ...record, output: "" };
      return place === 1 ? { ...record, output: BASELINE[1]!.output } : record;
    });
    const { server, context, evaluate } = await given(likesCapitals, {}, some);
    const { per_prompt, empty_outputs } = await evaluate();
    expect([per_prompt[0]!.preference, per_prompt[1]!.preference, empty_outputs]).toEqual([1, 1.5, 1]);
    expect(server.count).toBe(COUNT - 2);
    expect(context.warnings).toContain("1 of 12 answers are empty; they lose without the judge being asked");
    const nothing = await given(
      likesCapitals,
      {},
      OUTPUTS.map((record) => ({ ...record, output: " " })),
    );
    await expect(nothing.evaluate()).rejects.toThrow(
      "alpaca-eval ours: all 12 answers are empty; there is nothing to judge",
    );
    expect(nothing.server.count).toBe(0);
  });

  test("outputs in another order are put right; missing, strange and double ones are refused", async () => {
    const straight = await (await given(likesCapitals)).evaluate();
    const reversed = await (await given(likesCapitals, {}, [...OUTPUTS].reverse())).evaluate();
    expect(reversed).toEqual(straight);
    const refused = async (outputs: readonly unknown[]) => (await given(likesCapitals, {}, outputs)).evaluate();
    await expect(refused(OUTPUTS.slice(1))).rejects.toThrow(/expected 12 instructions, found 11: instruction 1 /);
    await expect(refused([...OUTPUTS, { ...OUTPUTS[0], instruction: "?" }])).rejects.toThrow(/record 13: "\?" is none/);
    await expect(refused([...OUTPUTS, OUTPUTS[0]])).rejects.toThrow(/record 13: .* was record 1 already/);
    await expect(refused([...OUTPUTS.slice(1), { ...OUTPUTS[0], generator: "x" }])).rejects.toThrow(
      /record 12: expected outputs of one model, found "x" after "ours"/,
    );
  });

  test("fewer instructions are judged where a list of them is given", async () => {
    const { list } = await files({ list: INSTRUCTIONS.slice(4, 8).map((instruction) => ({ instruction })) });
    const { server, evaluate } = await given(
      likesCapitals,
      { instructions: list, gamed: undefined, difficulty: undefined },
      OUTPUTS.slice(4, 8),
    );
    expect((await evaluate()).prompts).toBe(4);
    expect(server.count).toBe(4);
    const { strange } = await files({ strange: [{ instruction: "What?" }] });
    await expect((await given(likesCapitals, { instructions: strange })).evaluate()).rejects.toThrow(
      /baseline\.json: has no output for "What\?" of --instructions$/,
    );
  });

  test("a model behind a server is asked, its answers kept and written as model_outputs.json", async () => {
    const judge = await given(likesCapitals, { outputs: undefined });
    const model = await startServer(({ messages }) => ({ text: `WORD for ${messages.at(-1)!.content.length}` }));
    servers.push(model);
    const subject = {
      kind: "endpoint",
      name: "ours",
      endpoint: { ...judge.endpoint, url: model.url, model: "m" },
    } as const;
    const asked = { ...judge.asked, subject };
    const estimate = await alpacaEval.estimate(asked);
    expect(estimate).toMatchObject({
      prompts: COUNT,
      judge: { calls: COUNT, fromLedger: 0, answerTokensAtMost: COUNT },
    });
    const ensemble = { kind: "ensemble", name: "both", choice: "judge", members: [subject, subject] } as const;
    const chosen = await alpacaEval.estimate({ ...asked, subject: ensemble });
    expect(chosen.judge!.calls).toBe(2 * COUNT);
    const result = await alpacaEval.evaluate(asked, judge.context);
    expect(result).toMatchObject({ model: "ours", judge: "a/judge", cut_outputs: 0, refused: 0 });
    expect(model.requests[0]).toMatchObject({ temperature: 0.7, messages: [{ role: "user" }] });
    expect(JSON.parse(await readFile(join(judge.out, "model_outputs.json"), "utf8"))[3]).toEqual({
      dataset: "small",
      instruction: INSTRUCTIONS[3],
      output: `WORD for ${INSTRUCTIONS[3]!.length}`,
      generator: "ours",
    });
    expect(await alpacaEval.evaluate(asked, judge.context)).toEqual(result);
    expect([model.count, judge.server.count]).toEqual([COUNT, COUNT]);
  });

  test("what is needed is told, and where to get it", async () => {
    const { asked } = await given(likesCapitals);
    const without = (changes: BenchmarkSettings, rest: Partial<BenchmarkRequest> = {}) =>
      alpacaEval.evaluate({ ...asked, settings: { ...asked.settings, ...changes }, ...rest }, contextWithoutEngine());
    await expect(without({ outputs: undefined })).rejects.toThrow(
      "alpaca-eval: needs a model to ask, or finished --outputs, or finished --annotations",
    );
    await expect(without({}, { judge: null })).rejects.toThrow(/^alpaca-eval: needs a judge/);
    await expect(without({ baseline: undefined })).rejects.toThrow(
      "alpaca-eval: needs --baseline: the baseline's outputs, alpaca_eval's results/gpt4_1106_preview/model_outputs.json",
    );
    await expect(without({ judge_prompt: undefined })).rejects.toThrow(/alpaca_eval_clf\.txt$/);
    const { half } = await files({ half: "" });
    await writeFile(half, Uint8Array.of(0x5b, 0xff));
    await expect(without({ baseline: half })).rejects.toThrow(/expected UTF-8 text, found other bytes at offset 1$/);
  });
});
