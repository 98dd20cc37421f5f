/** Whole evaluations: a server on the loopback interface that answers as a test says, and golden models. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lazyEngine } from "#src/cli/lazy-engine.js";
import type { StageContext } from "#src/engine/context.js";
import { EMBEDDED } from "#src/engine/index.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { exactMatch } from "#src/evaluate/benchmarks/exact-match.js";
import { benchmark } from "#src/evaluate/benchmarks/index.js";
import type { SubjectReference } from "#src/evaluate/subjects/subject.js";
import { type ReporterEvent, silent } from "#src/reporter.js";
import { type Behaviour, type ServedRequest, startServer, type TestServer } from "../../../engine/endpoint/server.ts";

const golden = resolve(import.meta.dirname, "../../../golden/models");

let folder: string;
let server: TestServer | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "exact-match-"));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await rm(folder, { recursive: true });
});

/** A server answers; no engine is asked for. */
const noEngine: StageContext = { engine: undefined as never, reporter: silent };

async function dataOf(turns: readonly { ask: string; answer: string; skill?: string }[]): Promise<string> {
  const file = join(folder, "data.jsonl");
  const records = turns.map(({ ask, answer, skill }) => ({
    turns: [
      { role: "user", content: ask },
      { role: "assistant", content: answer },
    ],
    skill,
  }));
  await writeFile(file, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return file;
}

async function served(answer: (request: ServedRequest) => Behaviour): Promise<SubjectReference> {
  server = await startServer(answer);
  const endpoint = { url: server.url, model: "served", concurrency: 4, timeoutSeconds: 5, attempts: 1 };
  return { kind: "endpoint", name: "served", endpoint };
}

function request(
  subject: SubjectReference | null,
  settings: Record<string, string | number>,
  out: string | null = null,
) {
  const defaults = { rule: "number", max_tokens: 32, temperature: 0 };
  return { subject, settings: { ...defaults, ...settings }, judge: null, out, seed: "test" };
}

const SUMS = [
  { ask: "2 + 3?", answer: "#### 5", skill: "small" },
  { ask: "700 + 800?", answer: "It is\n#### 1,500", skill: "large" },
  { ask: "1 + 1?", answer: "#### 2", skill: "small" },
];

describe("a model behind an endpoint", () => {
  test("is right where the rule finds in its answer what it finds in the reference", async () => {
    const data = await dataOf(SUMS);
    const subject = await served(({ messages }) => {
      const question = messages.at(-1)!.content;
      return {
        text: question === "2 + 3?" ? "Two and three.\n#### 5.0" : question === "1 + 1?" ? "two" : "#### $1500",
      };
    });
    const result = await exactMatch.evaluate(request(subject, { data }), noEngine);
    expect(result).toMatchObject({ model: "served", rule: "number", prompts: 3, unparsed: 1, empty: 0, refused: 0 });
    expect(result.metrics.accuracy!.value).toBeCloseTo(200 / 3, 12);
    expect(result.metrics["accuracy/small"]!.value).toBe(50);
    expect(
      result.per_prompt.map(({ skill, correct, extracted, expected }) => [skill, correct, extracted, expected]),
    ).toEqual([
      ["small", true, "5", "5"],
      ["large", true, "1500", "1500"],
      ["small", false, null, "2"],
    ]);
    expect(exactMatch.describe(result)).toEqual([
      "served: 3 prompts, the rule number",
      "  accuracy        66.7 [20.8, 93.9] %",
      "  accuracy/small  50.0 [9.5, 90.5] %",
      "  accuracy/large  100.0 [20.7, 100.0] %",
      "  not parsed      33.3 % (1 of 3, 0 of them empty)",
    ]);
  });

  test("leaves out records that cannot be used where it is told to, and says so", async () => {
    const data = await dataOf(SUMS);
    await appendFile(data, '{"turns": []}\n{"turns": []}\n');
    const subject = await served(() => ({ text: "#### 5" }));
    await expect(exactMatch.estimate(request(subject, { data }))).rejects.toThrow(
      /data\.jsonl:4: expected a user turn/,
    );
    const events: ReporterEvent[] = [];
    const context = { ...noEngine, reporter: { report: (event: ReporterEvent) => void events.push(event) } };
    const result = await exactMatch.evaluate(request(subject, { data, irregular: "leave-out" }), context);
    const counted = { reason: "without turns", count: 2, file: "data.jsonl", place: ":4" };
    expect(result).toMatchObject({ prompts: 3, left_out: [counted] });
    expect(events).toContainEqual(expect.objectContaining({ type: "warning", stage: "exact-match served" }));
  });

  test("sees the turns before the last answer, with the temperature and length that were set", async () => {
    const file = join(folder, "turns.json");
    const turns = ["user", "assistant", "user", "assistant"].map((role, i) => ({ role, content: `turn ${i}` }));
    await writeFile(file, JSON.stringify([{ turns: [{ role: "system", content: "Be brief." }, ...turns] }]));
    const subject = await served(() => ({ text: "turn  3" }));
    const settings = { data: file, rule: "text", temperature: 0.5, max_tokens: 9 };
    expect((await exactMatch.evaluate(request(subject, settings), noEngine)).metrics.accuracy!.value).toBe(100);
    expect(server!.requests[0]!.messages.map(({ content }) => content)).toEqual([
      "Be brief.",
      "turn 0",
      "turn 1",
      "turn 2",
    ]);
    expect(server!.requests[0]).toMatchObject({ temperature: 0.5, max_tokens: 9 });
  });

  test("is not asked again for what it has answered", async () => {
    const data = await dataOf([...SUMS, SUMS[0]!]);
    const subject = await served(() => ({ text: "#### 5" }));
    const first = await exactMatch.evaluate(request(subject, { data }, folder), noEngine);
    const asked = server!.count;
    expect(await exactMatch.evaluate(request(subject, { data }, folder), noEngine)).toEqual(first);
    expect(server!.count).toBe(asked);
    expect(new Set(first.per_prompt.map(({ id }) => id)).size).toBe(4);
    expect((await readFile(join(folder, "answers.jsonl"), "utf8")).trimEnd().split("\n").length).toBe(4);
  });

  test("that answers nothing is an error, and one empty answer a warning", async () => {
    const data = await dataOf(SUMS);
    const nothing = await served(() => ({ text: "" }));
    await expect(exactMatch.evaluate(request(nothing, { data }), noEngine)).rejects.toThrow(
      "served: answers nothing: all 3 answers are empty; there is nothing to measure",
    );
    await server!.close();
    const warnings: string[] = [];
    const report = (event: ReporterEvent) => {
      if (event.type === "warning") warnings.push(event.message);
    };
    const once = await served(({ messages }) => ({ text: messages[0]!.content === "1 + 1?" ? "" : "#### 1" }));
    const result = await exactMatch.evaluate(request(once, { data }), { ...noEngine, reporter: { report } });
    expect(result).toMatchObject({ empty: 1, unparsed: 1 });
    expect(warnings).toEqual(["1 of 3 answers are empty; they count as wrong"]);
  });
});

describe("a model folder", () => {
  test("answers in batches with its own template, the same again", async () => {
    const data = await dataOf(
      Array.from({ length: 6 }, (_, i) => ({ ask: `Say ${i}.`, answer: `${i}`, skill: i % 2 === 0 ? "even" : "odd" })),
    );
    const engine = await createOnnxEngine({ threads: 2 });
    try {
      const context = { engine, reporter: silent };
      const subject = { kind: "folder", name: "qwen2", folder: join(golden, "qwen2") } as const;
      const settings = { data, rule: "last-number", max_tokens: 6 };
      const result = await exactMatch.evaluate(request(subject, settings), context);
      expect(result).toMatchObject({ model: "qwen2", prompts: 6, refused: 0 });
      expect(result.per_prompt.some(({ answer }) => answer !== "")).toBe(true);
      expect(Object.keys(result.metrics)).toEqual(["accuracy", "accuracy/even", "accuracy/odd"]);
      expect(await exactMatch.evaluate(request(subject, settings), context)).toEqual(result);
    } finally {
      await engine.dispose();
    }
  });

  test("whose template refuses every prompt cannot be measured", async () => {
    const file = join(folder, "system.jsonl");
    const turns = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "One?" },
      { role: "assistant", content: "1" },
    ];
    await writeFile(file, JSON.stringify({ turns }));
    const subject = { kind: "folder", name: "gemma2", folder: join(golden, "gemma2") } as const;
    const context = {
      engine: lazyEngine(EMBEDDED, () => Promise.reject(new Error("no model is opened"))),
      reporter: silent,
    };
    await expect(exactMatch.evaluate(request(subject, { data: file, rule: "text" }), context)).rejects.toThrow(
      "gemma2: its template refuses each of the 1 prompts, or its context is too short for them; there is nothing to measure",
    );
  });
});

test("the calls by which a judge chooses among an ensemble's answers are known before the first", async () => {
  const data = await dataOf(SUMS);
  const members = [1, 2].map((n) => ({ kind: "folder", name: `m${n}`, folder: `m${n}` }) as const);
  const ensemble = { kind: "ensemble", name: "all", choice: "judge", members } as const;
  const { prompts, judge } = await exactMatch.estimate(request(ensemble, { data, max_tokens: 100 }));
  expect(judge!.calls).toBe(prompts);
  expect(judge!.promptTokens).toBeGreaterThan(2 * 100 * prompts);
});

describe("what cannot be asked", () => {
  test("a reference in which the rule finds nothing", async () => {
    const data = await dataOf([SUMS[0]!, { ask: "1 + 1?", answer: "It is 2." }]);
    await expect(exactMatch.estimate(request(null, { data }))).rejects.toThrow(
      `${data}: conversation 2: the rule number (the number after ####, as in GSM8K, or in \\boxed{}) finds nothing in its answer "It is 2."; choose another --rule`,
    );
    expect(await exactMatch.estimate(request(null, { data, rule: "last-number" }))).toEqual({
      prompts: 2,
      judge: null,
    });
  });

  test("a conversation that ends with a question", async () => {
    const file = join(folder, "open.jsonl");
    await writeFile(file, JSON.stringify({ data: ["Well?", "Yes.", "Well?"] }));
    await expect(exactMatch.estimate(request(null, { data: file }))).rejects.toThrow(
      `${file}: conversation 1: expected an answer as its last turn, to compare with, found a question`,
    );
  });

  test("a conversation with tools", async () => {
    const file = join(folder, "tools.jsonl");
    await writeFile(file, JSON.stringify({ data: ["Well?", "#### 1"], tools: [{ name: "clock" }] }));
    await expect(exactMatch.estimate(request(null, { data: file }))).rejects.toThrow(
      `${file}: conversation 1: expected questions and answers alone, found tools`,
    );
  });

  test("no data, and no model", async () => {
    await expect(exactMatch.estimate(request(null, {}))).rejects.toThrow(
      "fusechat evaluate exact-match: needs conversations whose answers are known; add --data FILE",
    );
    const data = await dataOf(SUMS);
    await expect(exactMatch.evaluate(request(null, { data }), noEngine)).rejects.toThrow(
      "exact-match: needs a model that answers; add --model",
    );
  });
});

test("is one of the benchmarks", () => {
  expect(benchmark("exact-match")).toBe(exactMatch);
});
