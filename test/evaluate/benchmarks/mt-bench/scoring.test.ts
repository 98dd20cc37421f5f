/** Finished judgments: the published figures from the published file, and what files may hold that is no judgment. */
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { MtBenchResult } from "#src/evaluate/benchmarks/mt-bench/result.js";
import { mtBench } from "#src/evaluate/benchmarks/mt-bench.js";
import { tellMissing } from "../../../shared.ts";
import { contextWithoutEngine } from "./context.ts";
import { filesIn, judgment, judgments, lines, QUESTIONS } from "./files.ts";

const data = resolve(import.meta.dirname, "../../../../../shared/data");
const present = existsSync(data);

const context = contextWithoutEngine();

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

function score(questions: string, file: string, name?: string): Promise<MtBenchResult> {
  const settings = { questions, judgments: file, ...(name === undefined ? {} : { name }), max_tokens: 1024 };
  return mtBench.evaluate({ subject: null, settings, judge: null, out: null, seed: "0" }, context);
}

async function scoreSmall(
  content: readonly unknown[] | string | Uint8Array,
  questions: readonly unknown[] | string | Uint8Array = QUESTIONS,
  name?: string,
): Promise<MtBenchResult> {
  const files = await filesIn({ questions, judged: content });
  folders.push(files.folder);
  return score(files.questions, files.judged, name);
}

const FOUR = [
  [8, 7],
  [4, 1],
  [9, 9.5],
  [3, 2],
] as const;

describe.runIf(present)("the published run of FastChat", () => {
  const questions = resolve(data, "chat/mt_bench/question.jsonl");
  const file = resolve(data, "mt_bench_judgments/gpt-4_single.jsonl");

  test("has the expected turns, average and categories", async () => {
    const [expected] = JSON.parse(await readFile(resolve(data, "mt_bench_judgments/expected.json"), "utf8"));
    const result = await score(questions, file);
    expect(result).toMatchObject({ model: expected.model, judge: "gpt-4", questions: 80, judgments: 160, unrated: [] });
    const figure = (name: string): number => result.metrics[name]!.value;
    expect(Math.abs(figure("turn_1") - expected.turn1)).toBeLessThan(1e-9);
    expect(Math.abs(figure("turn_2") - expected.turn2)).toBeLessThan(1e-9);
    expect(Math.abs(figure("average") - expected.average)).toBeLessThan(1e-9);
    const categories = Object.entries<number>(expected.per_category);
    expect(categories).toHaveLength(8);
    for (const [name, value] of categories) {
      expect(Math.abs(figure(`category/${name}`) - value)).toBeLessThan(1e-9);
      expect(result.metrics[`category/${name}`]).toMatchObject({ prompts: 10, unit: "points of 10" });
    }
    const { low, high, prompts } = result.metrics.average!;
    expect([low < 2.7, high > 2.7, prompts]).toEqual([true, true, 80]);
    // Every coding answer got 1: an interval of no width, not a broken one.
    expect(result.metrics["category/coding"]).toMatchObject({ value: 1, low: 1, high: 1 });
  });

  test("has intervals over questions, which are wider than over judgments taken as independent", async () => {
    const { metrics, per_prompt } = await score(questions, file);
    const means = per_prompt.map(({ turn_1, turn_2 }) => (turn_1! + turn_2!) / 2);
    const mean = means.reduce((sum, value) => sum + value, 0) / 80;
    const error = Math.sqrt(means.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 79 / 80);
    const { low, high } = metrics.average!;
    // A normal interval; BCa differs by the skew of the scores.
    expect((high - low) / (2 * 1.96 * error)).toBeGreaterThan(0.95);
    expect((high - low) / (2 * 1.96 * error)).toBeLessThan(1.05);
  });
});

tellMissing(present, "the published run of FastChat was not compared");

describe("scores", () => {
  test("average over judgments, both turns of a question being one unit", async () => {
    const result = await scoreSmall(judgments(FOUR));
    const values = Object.fromEntries(Object.entries(result.metrics).map(([name, { value }]) => [name, value]));
    expect(values).toEqual({
      turn_1: 6,
      turn_2: 4.875,
      average: 5.4375,
      "category/writing": 7.5,
      "category/math": 2.5,
      "category/stem": 9.25,
      "category/coding": 2.5,
    });
    expect(result.metrics.average!.prompts).toBe(4);
    expect(result.per_prompt[2]).toEqual({ id: 3, category: "stem", turn_1: 9, turn_2: 9.5 });
  });

  test("without a rating are dropped, counted and shown", async () => {
    const result = await scoreSmall(
      judgments([
        [8, -1],
        [-1, -1],
        [9, 9.5],
        [3, 2],
      ]),
    );
    expect(result.metrics.turn_1).toMatchObject({ value: 20 / 3, prompts: 3 });
    expect(result.metrics.turn_2).toMatchObject({ value: 5.75, prompts: 2 });
    // Over judgments: the question with one of its turns counts half as much.
    expect(result.metrics.average).toMatchObject({ value: (8 + 9 + 9.5 + 3 + 2) / 5, prompts: 3 });
    expect(Object.keys(result.metrics)).not.toContain("category/math");
    expect(result.unrated.map(({ id, turn }) => [id, turn])).toEqual([
      [1, 2],
      [2, 1],
      [2, 2],
    ]);
    expect(mtBench.describe(result)).toEqual(
      [
        "ours: 4 questions, 8 judgments by a-judge, 3 of them without a rating, which count nowhere",
        expect.stringMatching(/^ {2}turn_1 {12}6\.667 \[\d\.\d{3}, \d\.\d{3}\] points of 10, 3 questions$/),
        ...Array.from({ length: 5 }, () => expect.stringMatching(/^ {2}\S/)),
        'question 1, turn 2, no rating in: "I would rather not say."',
        'question 2, turn 1, no rating in: "I would rather not say."',
        'question 2, turn 2, no rating in: "I would rather not say."',
      ].map((line) => (typeof line === "string" && line.startsWith("question") ? `  ${line}` : line)),
    );
  });

  test("are the same bytes whenever they are computed", async () => {
    const once = JSON.stringify(await scoreSmall(judgments(FOUR)));
    expect(JSON.stringify(await scoreSmall(judgments(FOUR)))).toBe(once);
  });

  test("of one model are found among several by its name", async () => {
    const both = [...judgments(FOUR), ...judgments(FOUR, { model: "theirs", score: 10 })];
    expect((await scoreSmall(both, QUESTIONS, "theirs")).metrics.average!.value).toBe(10);
    await expect(scoreSmall(both)).rejects.toThrow(
      "judged.jsonl: holds judgments of several models; say which with --name: ours, theirs",
    );
    await expect(scoreSmall(both, QUESTIONS, "nobody")).rejects.toThrow(
      "judged.jsonl: holds no judgments of nobody but of ours, theirs; say whose are meant with --name",
    );
  });
});

test("judgments of a model of a run are those under its name, or under the name given, and it keeps its own name", async () => {
  const files = await filesIn({ questions: QUESTIONS, judged: judgments(FOUR) });
  folders.push(files.folder);
  const scoreOf = (subject: string, name?: string): Promise<MtBenchResult> => {
    const settings = { questions: files.questions, judgments: files.judged, ...(name === undefined ? {} : { name }) };
    const reference = { kind: "folder", name: subject, folder: "/nowhere" } as const;
    return mtBench.evaluate({ subject: reference, settings, judge: null, out: null, seed: "0" }, context);
  };
  expect((await scoreOf("ours")).model).toBe("ours");
  expect(await scoreOf("fused", "ours")).toMatchObject({ model: "fused", metrics: { average: { value: 5.4375 } } });
  await expect(scoreOf("fused")).rejects.toThrow(
    "judged.jsonl: holds no judgments of fused but of ours; say whose are meant with --name",
  );
});

test("without a file of questions judgments are of the published ones, and others are refused", async () => {
  const files = await filesIn({ judged: judgments(FOUR) });
  folders.push(files.folder);
  const request = { subject: null, settings: { judgments: files.judged }, judge: null, out: null, seed: "0" };
  expect(await mtBench.estimate(request)).toEqual({ prompts: 80, judge: null });
  await expect(mtBench.evaluate(request, context)).rejects.toThrow(
    /judged\.jsonl:1: question_id 1 is not among the 80 questions \(81 to 160\); for another set of questions give theirs with --questions$/,
  );
});

test("turns that were judged again count with every judgment, as FastChat's means have them, and are told", async () => {
  const again = [judgment(1, 1, 2), judgment(3, 2, 5), judgment(3, 2, -1)];
  const once = await scoreSmall(judgments(FOUR));
  const result = await scoreSmall([...judgments(FOUR), ...again]);
  // Of eleven judgments one has no rating.
  expect(result).toMatchObject({ judgments: 11, repeated_judgments: 3, unrated: [{ id: 3, turn: 2 }] });
  expect(result.metrics.turn_1!.value).toBeCloseTo((8 + 2 + 4 + 9 + 3) / 5, 12);
  expect(result.metrics.turn_2!.value).toBeCloseTo((7 + 1 + 9.5 + 5 + 2) / 5, 12);
  expect(result.metrics.average!.value).toBeCloseTo((26 + 24.5) / 10, 12);
  expect(result.metrics["category/writing"]!.value).toBeCloseTo((8 + 7 + 2) / 3, 12);
  expect(result.per_prompt[0]).toEqual({
    ...{ id: 1, category: "writing", turn_1: 5, turn_2: 7 },
    ratings: { turn_1: [8, 2], turn_2: [7] },
  });
  expect(mtBench.describe(result)[0]).toContain("11 judgments by a-judge (3 of turns that were judged before");
  // With one row a turn nothing is different.
  expect(once).not.toHaveProperty("repeated_judgments");
  expect(once.per_prompt[0]).toEqual({ id: 1, category: "writing", turn_1: 8, turn_2: 7 });
  expect(mtBench.compare(result, once).metrics.turn_1!.value).toBeCloseTo(26 / 5 - 6, 12);
});

describe("a comparison", () => {
  const many = Array.from({ length: 40 }, (_, index) => ({
    question_id: index + 1,
    category: index % 2 === 0 ? "writing" : "stem",
    turns: ["a", "b"],
  }));
  const scored = (model: string, points: (index: number) => readonly [number, number]): Promise<MtBenchResult> =>
    scoreSmall(
      judgments(
        many.map((_, index) => points(index)),
        { model },
      ),
      many,
    );
  const read = (result: MtBenchResult): MtBenchResult => JSON.parse(JSON.stringify(result));

  test("is paired question by question, works on documents from files, and more is better", async () => {
    const good = read(await scored("good", (index) => [5 + (index % 3), 6 + (index % 2)]));
    const bad = read(await scored("bad", (index) => [4 + (index % 3), 4 + (index % 2)]));
    const { metrics, ...rest } = mtBench.compare(good, bad);
    expect(rest).toEqual({ model: "good", against: "bad", prompts: 40 });
    expect(Object.keys(metrics)).toEqual(["turn_1", "turn_2", "average", "category/writing", "category/stem"]);
    expect(metrics.average).toMatchObject({ value: 1.5, low: 1.5, high: 1.5, prompts: 40 });
    expect(metrics.average!.p).toBeLessThan(0.001);
    expect(mtBench.compare(bad, good).metrics.turn_2).toMatchObject({ value: -2 });
    expect(mtBench.compare(good, good).metrics.average).toMatchObject({ value: 0, p: 1 });
  });

  test("says what so many questions could have shown", async () => {
    const a = await scored("a", (index) => [5 + (index % 4), 5]);
    const b = await scored("b", (index) => [5 + ((index * 7) % 5) * 0.5, 5]);
    const { turn_1 } = mtBench.compare(a, b).metrics;
    expect(turn_1!.detectable).toBeGreaterThan(0.3);
    expect(turn_1!.detectable).toBeLessThan(1.5);
  });

  test("counts a judgment only where both models have one with a rating", async () => {
    const a = await scored("a", (index) => (index === 0 ? [-1, 10] : [5, 5]));
    const b = await scored("b", (index) => (index === 0 ? [1, 6] : [5, 5]));
    const { turn_1, turn_2, average } = mtBench.compare(a, b).metrics;
    expect(turn_1).toMatchObject({ value: 0, prompts: 39 });
    expect(turn_2).toMatchObject({ value: 0.1, prompts: 40 });
    expect(average!.value).toBeCloseTo(4 / 79, 12);
  });

  test("needs the same judge and a question in common", async () => {
    const a = await scored("a", () => [5, 5]);
    const other = { ...a, model: "b", judge: "another" };
    expect(() => mtBench.compare(a, other)).toThrow(
      "mt-bench: a was judged by a-judge and b by another; scores of different judges do not compare",
    );
    const elsewhere = { ...a, model: "b", per_prompt: [{ id: 99, category: "x", turn_1: 1, turn_2: 1 }] };
    expect(() => mtBench.compare(a, elsewhere)).toThrow(
      "mt-bench: a and b have no question in common; nothing to compare",
    );
  });
});

describe("files that cannot be scored are refused with the place", () => {
  const all = judgments(FOUR);
  const refused = async (content: readonly unknown[] | string | Uint8Array, message: string | RegExp) => {
    const error = await scoreSmall(content).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ exitCode: 2, message: expect.stringMatching(message) });
  };

  test("no judgments at all", async () => {
    await refused("\n", /judged\.jsonl: the file is empty; expected FastChat's judgments of single answers/);
    await expect(score("/nowhere/q.jsonl", "x")).rejects.toThrow(
      "/nowhere/q.jsonl: no such file; expected MT-Bench's questions (FastChat's fastchat/llm_judge/data/mt_bench/question.jsonl)",
    );
  });

  test("a question without its judgment", async () => {
    await refused(all.slice(0, 5), /judged\.jsonl: has no judgment of turn 2 of question 3, one of 3 that ours lacks$/);
  });

  test("questions of another benchmark", async () => {
    await refused(
      [...all, judgment(81, 1, 4)],
      /judged\.jsonl:9: question_id 81 is not among the 4 questions \(1 to 4\); for another set of questions give theirs with --questions$/,
    );
  });

  test("scores that are none", async () => {
    for (const score of [0, 11, -2, 9.5e9]) {
      await refused(
        [judgment(1, 1, score), ...all.slice(1)],
        /judged\.jsonl:1: score \S+ is not between 1 and 10; a judgment/,
      );
    }
    await refused([{ ...judgment(1, 1, 1), score: "8" }], /judged\.jsonl:1: score: .*expected number/);
    await refused([judgment(1, 3, 5)], /judged\.jsonl:1: turn: /);
  });

  test("two judges in one file", async () => {
    await refused(
      [...all.slice(0, 7), judgment(4, 2, 5, { judge: ["b-judge", "single-v1"] })],
      /judged\.jsonl: holds judgments of ours by several judges \(a-judge, b-judge\); expected a file a judge$/,
    );
  });

  test("broken UTF-8 and broken JSON", async () => {
    const bytes = Buffer.concat([Buffer.from(lines(all.slice(0, 1))), Buffer.from([0xc3, 0x28, 0x0a])]);
    await refused(bytes, /judged\.jsonl: expected UTF-8 text, found other bytes at offset \d+$/);
    await refused(`${lines(all.slice(0, 1))}{"question_id": 1,`, /judged\.jsonl:2: expected a JSON object, one a line/);
  });

  test("questions that come twice, have one turn, or are not given", async () => {
    await expect(scoreSmall(all, [...QUESTIONS, QUESTIONS[1]])).rejects.toThrow(
      /questions\.jsonl:5: question 2 stands at .*questions\.jsonl:2 already; expected each once$/,
    );
    await expect(scoreSmall(all, [{ question_id: 1, category: "math", turns: ["one"] }])).rejects.toThrow(
      /questions\.jsonl:1: turns: expected two turns/,
    );
    const settings = { answers: "x.jsonl" };
    await expect(
      mtBench.evaluate({ subject: null, settings, judge: null, out: null, seed: "0" }, context),
    ).rejects.toThrow(
      "mt-bench: needs questions, which are not part of this program; give --questions FILE: MT-Bench's questions (FastChat's fastchat/llm_judge/data/mt_bench/question.jsonl)",
    );
  });
});
