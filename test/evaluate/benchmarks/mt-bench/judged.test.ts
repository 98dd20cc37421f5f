/** Finished answers and their judge, a server on the loopback interface: what it is asked, and what is kept. */
import { access, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { BenchmarkRequest } from "#src/evaluate/benchmarks/benchmark.js";
import type { MtBenchResult } from "#src/evaluate/benchmarks/mt-bench/result.js";
import { mtBench } from "#src/evaluate/benchmarks/mt-bench.js";
import { type Behaviour, type ServedRequest, startServer, type TestServer } from "../../../engine/endpoint/server.ts";
import { contextWithoutEngine } from "./context.ts";
import { answer, filesIn, PROMPTS, QUESTIONS, REFERENCES } from "./files.ts";

const servers: TestServer[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

const ANSWERS = [
  answer(1, "ours", ["one {question} $&", "shorter one"]),
  answer(2, "ours", ["4", "it is {ref_answer_1}"]),
  answer(3, "ours", ["air", "more air"]),
  answer(4, "ours", ["printf", "Printf"]),
];

/** Second turns show both turns of the dialogue, between bars. */
const rated = ({ messages }: ServedRequest): Behaviour => ({
  text: messages[1]!.content.includes("|") ? "Poor. Rating: [[3]]" : "Good. Rating: [[8]]",
});

interface Given {
  readonly settings?: Record<string, string>;
  readonly answers?: readonly unknown[];
  readonly references?: readonly unknown[];
}

async function given(judge: (request: ServedRequest) => Behaviour, { settings, answers, references }: Given = {}) {
  const server = await startServer(judge);
  servers.push(server);
  const { folder, ...files } = await filesIn({
    questions: QUESTIONS,
    prompts: PROMPTS,
    references: references ?? REFERENCES,
    answers: answers ?? ANSWERS,
  });
  folders.push(folder);
  const endpoint = { url: server.url, model: "a/judge", concurrency: 4, timeoutSeconds: 10, attempts: 1 };
  const request: BenchmarkRequest = {
    subject: null,
    settings: { ...files, max_tokens: 1024, ...settings },
    judge: { endpoint },
    out: join(folder, "out"),
    seed: "0",
  };
  const context = contextWithoutEngine();
  const evaluate = (): Promise<MtBenchResult> => mtBench.evaluate(request, context);
  return { server, request, context, evaluate, out: join(folder, "out") };
}

async function records(path: string): Promise<Record<string, unknown>[]> {
  return (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const THINKING = [
  answer(1, "ours", ["<think>\nRating: [[1]]\n</think>\n\none", "<think>cut"]),
  ...["2", "3", "4"].map((id) => answer(Number(id), "ours", ["plain", "plain"])),
];

test("a judge is shown what follows the reasoning, and its rating is read after its own", async () => {
  const judge = ({ messages }: ServedRequest): Behaviour => ({
    text: `<think>[[2]]?</think>\nRating: [[${messages[1]!.content.includes("|") ? 4 : 6}]]`,
  });
  const { server, evaluate, out } = await given(judge, { answers: THINKING });
  const result = await evaluate();
  const asked = server.requests.map(({ messages }) => messages[1]!.content);
  expect(asked).toContain("Q Write {answer} and {{x}}.\nA one\nAs {rating}");
  expect(asked).toContain("Write {answer} and {{x}}.|one|Again, shorter. $& {0}|");
  expect(asked.join()).not.toContain("think");
  expect(result).toMatchObject({ reasoning: "drop", empty_answers: 1, metrics: { turn_1: { value: 6 } } });
  expect((await records(join(out, "model_answer/ours.jsonl")))[0]!.choices).toEqual([{ index: 0, turns: ["one", ""] }]);
});

test("reasoning is a part of answers and judgments where it is kept", async () => {
  const judge = (): Behaviour => ({ text: "<think>[[2]]?</think>\nRating: [[6]]" });
  const { server, evaluate } = await given(judge, { answers: THINKING, settings: { reasoning: "keep" } });
  const result = await evaluate();
  expect(result).toMatchObject({ reasoning: "keep", empty_answers: 0, metrics: { average: { value: 2 } } });
  expect(server.requests.map(({ messages }) => messages[1]!.content).join()).toContain("|<think>cut");
});

describe("both turns are judged", () => {
  test("with FastChat's prompts and settings, and a reference where the category needs one", async () => {
    const { server, evaluate } = await given(rated);
    const result = await evaluate();
    expect(server.requests).toHaveLength(8);
    for (const request of server.requests) expect(request).toMatchObject({ model: "a/judge", temperature: 0 });
    expect(server.requests[0]!.max_tokens ?? server.requests[0]!.max_completion_tokens).toBe(2048);
    const asked = server.requests.map(({ messages }) => messages.map(({ content }) => content)).sort();
    expect(asked).toEqual(
      [
        ["Judge.", "Q Write {answer} and {{x}}.\nA one {question} $&\nAs {rating}"],
        ["Judge.", "Q Why is ice light?\nA air\nAs {rating}"],
        ["Judge.", "Q What is 2 + 2?\nR 4\nA 4"],
        ["Judge.", "Q Print {} in C.\nR puts\nA printf"],
        ["Judge both.", "Write {answer} and {{x}}.|one {question} $&|Again, shorter. $& {0}|shorter one"],
        ["Judge both.", "Why is ice light?|air|And snow?|more air"],
        ["Judge both.", "4|It depends.||What is 2 + 2?|4|And plus {question_1}?|it is {ref_answer_1}"],
        ["Judge both.", "puts|fmt.Println||Print {} in C.|printf|Now in Go.|Printf"],
      ].sort(),
    );
    expect(result).toMatchObject({ model: "ours", judge: "a/judge", questions: 4, judgments: 8, empty_answers: 0 });
    expect(result.metrics.turn_1).toMatchObject({ value: 8, low: 8, high: 8, prompts: 4 });
    expect(result.metrics.average!.value).toBe(5.5);
    expect(result.per_prompt[1]).toEqual({
      ...{ id: 2, category: "math" },
      turn_1: 8,
      turn_2: 3,
      answer_characters: [1, 20],
    });
  });

  test("and what FastChat would have written is written, without a clock, and scores the same", async () => {
    const { evaluate, out, request } = await given(rated);
    const { answer_characters: _, ...first } = (await evaluate()).per_prompt[0]!;
    const file = join(out, "model_judgment", "a_judge_single.jsonl");
    const written = await records(file);
    expect(written[0]).toEqual({
      question_id: 1,
      model: "ours",
      judge: ["a/judge", "single-v1"],
      user_prompt: "Q Write {answer} and {{x}}.\nA one {question} $&\nAs {rating}",
      judgment: "Good. Rating: [[8]]",
      score: 8,
      turn: 1,
      tstamp: 0,
    });
    // FastChat's order: first turns, then second ones; those without a reference before those with.
    expect(written.map(({ question_id, turn }) => `${question_id}/${turn}`).join(" ")).toBe(
      "1/1 3/1 2/1 4/1 1/2 3/2 2/2 4/2",
    );
    const answers = await records(join(out, "model_answer", "ours.jsonl"));
    expect(Object.keys(answers[0]!)).toEqual(["question_id", "answer_id", "model_id", "choices", "tstamp"]);
    expect(answers.map(({ choices, tstamp }) => [choices, tstamp])).toEqual(ANSWERS.map(({ choices }) => [choices, 0]));

    const { questions } = request.settings;
    const again = await mtBench.evaluate(
      { ...request, settings: { questions, judgments: file }, judge: null },
      contextWithoutEngine(),
    );
    expect(again.per_prompt[0]).toEqual(first);
    expect(again.metrics).toEqual((await evaluate()).metrics);
  });

  test("once: the same command asks nothing again and gives the same bytes", async () => {
    const { server, evaluate, out } = await given(rated);
    const first = JSON.stringify(await evaluate());
    const bytes = await readFile(join(out, "model_judgment", "a_judge_single.jsonl"), "utf8");
    expect(JSON.stringify(await evaluate())).toBe(first);
    expect(await readFile(join(out, "model_judgment", "a_judge_single.jsonl"), "utf8")).toBe(bytes);
    expect(server.count).toBe(8);
  });

  test("and nothing is written where there is no place for it", async () => {
    const { request, out } = await given(rated);
    await mtBench.evaluate({ ...request, out: null }, contextWithoutEngine());
    await expect(access(out)).rejects.toThrow();
  });
});

describe("a judge that does not do what it should", () => {
  test("gives no rating: kept, counted, shown, never guessed", async () => {
    const { evaluate, out } = await given((request) => {
      if (!request.messages[1]!.content.includes("ice")) return rated(request);
      return { text: request.messages[1]!.content.includes("|") ? "Rating: [[95]]" : "" };
    });
    const result = await evaluate();
    expect(result.unrated).toEqual([
      { id: 3, turn: 1, judgment: "" },
      { id: 3, turn: 2, judgment: "Rating: [[95]]" },
    ]);
    expect(result.metrics.turn_1).toMatchObject({ value: 8, prompts: 3 });
    const written = await records(join(out, "model_judgment", "a_judge_single.jsonl"));
    expect(written.filter(({ score }) => score === -1)).toHaveLength(2);
  });

  test("gives no reply to a question: told with exit code 1, and only that one is asked again", async () => {
    let broken = true;
    const { server, evaluate } = await given((request) =>
      broken && request.messages[1]!.content === "Q Why is ice light?\nA air\nAs {rating}"
        ? { status: 500, body: { error: { message: "out of memory" } } }
        : rated(request),
    );
    const error = await evaluate().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(
        /^mt-bench ours: 1 of 8 judgments are missing \(.*out of memory.*\); the others are kept, run the same command again to go on$/,
      ),
    });
    broken = false;
    expect((await evaluate()).metrics.turn_1!.value).toBe(8);
    expect(server.count).toBe(9);
  });
});

describe("nothing is asked where something is missing", () => {
  const refused = async (rest: Given, message: RegExp) => {
    const { evaluate, server } = await given(rated, rest);
    const error = await evaluate().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ exitCode: 2, message: expect.stringMatching(message) });
    expect(server.count).toBe(0);
  };

  test("a reference answer", async () => {
    await refused(
      { references: REFERENCES.slice(0, 1) },
      /references\.jsonl: has no reference answer to question 4 \(coding\), one of 1 that lack theirs; expected the judge's/,
    );
    const { request, context } = await given(rated);
    const { references: _, ...settings } = request.settings;
    await expect(mtBench.evaluate({ ...request, settings }, context)).rejects.toThrow(
      /^mt-bench: needs reference answers for math, reasoning and coding, .* give --references FILE: .*\(FastChat's fastchat\/llm_judge\/data\/mt_bench\/reference_answer\/gpt-4\.jsonl\)$/,
    );
  });

  test("an answer, or a whole one", async () => {
    await refused({ answers: ANSWERS.slice(1) }, /answers\.jsonl: has no answer of ours to question 1$/);
    await refused(
      { answers: [...ANSWERS, ANSWERS[0]] },
      /answers\.jsonl:5: question 1 is answered a second time; expected each once$/,
    );
    await refused(
      { answers: [answer(1, "ours", ["only one"]), ...ANSWERS.slice(1)] },
      /answers\.jsonl:1: choices\.0\.turns: expected the answers to two turns/,
    );
    await refused(
      { answers: [answer(1, "ours", ["fine", "$ERROR$"]), ...ANSWERS.slice(1)] },
      /answers\.jsonl:1: the answer to question 1 is \$ERROR\$, FastChat's mark of a failed call; ask the model again$/,
    );
    await refused(
      { answers: [...ANSWERS, answer(9, "ours", ["a", "b"])] },
      /answers\.jsonl:5: question_id 9 is not among the 4 questions/,
    );
  });

  test("anything that the model has said", async () => {
    await refused(
      { answers: QUESTIONS.map(({ question_id }) => answer(question_id, "ours", ["", " \n"])) },
      /^mt-bench ours: all 8 answers are empty; there is nothing to judge$/,
    );
  });

  test("a judge, or a model", async () => {
    const { request, context } = await given(rated);
    await expect(mtBench.evaluate({ ...request, judge: null }, context)).rejects.toThrow(
      "mt-bench: needs a judge, a model behind an OpenAI-compatible endpoint; or give finished --judgments",
    );
    const { answers: _, ...settings } = request.settings;
    await expect(mtBench.evaluate({ ...request, settings }, context)).rejects.toThrow(
      "mt-bench: needs a model to ask, or finished --answers, or finished --judgments",
    );
  });
});

test("a model behind an endpoint answers both turns, then is judged; what it said is kept", async () => {
  const { server, request, context, out } = await given((asked) =>
    asked.model === "a/judge"
      ? rated(asked)
      : { text: `${asked.messages.length} messages, ${asked.messages.at(-1)!.content}`, finish: "length" },
  );
  const { answers: _, ...settings } = request.settings;
  const endpoint = { ...request.judge!.endpoint, model: "an-endpoint" };
  const subject = { kind: "endpoint", name: "ours", endpoint } as const;
  const evaluate = () => mtBench.evaluate({ ...request, subject, settings }, context);
  const result = await evaluate();
  expect(result).toMatchObject({ model: "ours", judge: "a/judge", cut_answers: 8, refused: 0, empty_answers: 0 });
  const asked = server.requests.filter(({ model }) => model === "an-endpoint");
  expect(asked).toHaveLength(8);
  expect(asked.find(({ messages }) => messages.at(-1)!.content === "And snow?")).toMatchObject({
    temperature: 0.1,
    messages: [
      { role: "user", content: "Why is ice light?" },
      { role: "assistant", content: "1 messages, Why is ice light?" },
      { role: "user", content: "And snow?" },
    ],
  });
  expect(context.warnings).toEqual(["8 of 8 answers are cut at 1024 tokens"]);
  const [first] = await records(join(out, "model_answer", "ours.jsonl"));
  expect(first!.choices).toEqual([
    { index: 0, turns: ["1 messages, Write {answer} and {{x}}.", "3 messages, Again, shorter. $& {0}"] },
  ]);
  expect(await evaluate()).toEqual(result);
  expect(server.count).toBe(16);
});

test("some empty answers are judged, counted and told", async () => {
  const { evaluate, context } = await given(rated, { answers: [answer(1, "ours", ["", "b"]), ...ANSWERS.slice(1)] });
  const result = await evaluate();
  expect(result.empty_answers).toBe(1);
  expect(context.warnings).toEqual(["1 of 8 answers are empty; the judge sees them as they are"]);
  expect(mtBench.describe(result)[0]).toBe("ours: 4 questions, 8 judgments by a/judge; 1 answers empty");
});

describe("the estimate", () => {
  test("is exact for finished answers, and knows what is in the ledger", async () => {
    const { request, evaluate, server } = await given(rated);
    const before = await mtBench.estimate(request);
    expect(before).toMatchObject({ prompts: 4, judge: { calls: 8, fromLedger: 0, answerTokensAtMost: 8 * 2048 } });
    expect(server.count).toBe(0);
    await evaluate();
    expect((await mtBench.estimate(request)).judge).toMatchObject({ calls: 0, fromLedger: 8 });
  });

  test("is an upper bound for a model that has not answered yet", async () => {
    const { request } = await given(rated);
    const exact = (await mtBench.estimate(request)).judge!;
    const { answers: _, ...settings } = request.settings;
    const bound = (await mtBench.estimate({ ...request, settings: { ...settings, max_tokens: 100 } })).judge!;
    expect(bound).toMatchObject({ calls: 8, fromLedger: 0 });
    // Four answers are read once and four twice.
    expect(bound.promptTokens).toBeGreaterThan(4 * 3 * 100);
    expect(bound.promptTokens).toBeLessThan(exact.promptTokens + 4 * 3 * 100);
  });

  test("counts the choices of an ensemble by the judge", async () => {
    const { request } = await given(rated);
    const { answers: _, ...rest } = request.settings;
    const settings = { ...rest, max_tokens: 100 };
    const members = ["a", "b", "c"].map((name) => ({ kind: "folder", name, folder: "/nowhere" }) as const);
    const estimateOf = async (choice: "judge" | "lowest-perplexity") => {
      const subject = { kind: "ensemble", name: "all", choice, members } as const;
      return (await mtBench.estimate({ ...request, settings, subject })).judge!;
    };
    const alone = await estimateOf("lowest-perplexity");
    const chosen = await estimateOf("judge");
    expect([alone.calls, chosen.calls]).toEqual([8, 16]);
    expect(chosen.answerTokensAtMost - alone.answerTokensAtMost).toBe(8 * 16);
    // Eight times three answers, four times the first answer, and the judge's instructions.
    expect(chosen.promptTokens - alone.promptTokens).toBeGreaterThan(8 * 300 + 4 * 100 + 8 * 100);
    expect(chosen.promptTokens - alone.promptTokens).toBeLessThan(8 * 300 + 4 * 100 + 8 * 250);
  });

  test("of finished judgments asks no judge", async () => {
    const { request } = await given(rated);
    const { questions } = request.settings;
    const settings = { questions, judgments: "/anywhere.jsonl" };
    expect(await mtBench.estimate({ ...request, settings, judge: null })).toEqual({ prompts: 4, judge: null });
  });
});
