import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { evaluateVerb } from "#src/cli/evaluate.js";
import { runCommandLine } from "#src/cli/program.js";
import { rateModels } from "#src/evaluate/arena/ratings.js";
import { type Outcome, readVotes, type Vote } from "#src/evaluate/arena/votes.js";
import { memoryStreams } from "../../cli/memory-streams.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-arena-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

function votes(...counts: (readonly [string, string, Outcome, number])[]): Vote[] {
  return counts.flatMap(([left, right, outcome, count]) =>
    Array.from({ length: count }, (): Vote => ({ models: [left, right], outcome })),
  );
}

test("both forms of FastChat are read, and what was voted with the names in sight is left out", async () => {
  const lines = [
    { tstamp: 1, type: "load_json", model: "x" },
    { tstamp: 2, type: "leftvote", models: ["", ""], states: [{ model_name: "a" }, { model_name: "b" }], ip: "1" },
    {
      tstamp: 3,
      type: "bothbad_vote",
      models: ["Model A", "Model B"],
      states: [{ model_name: "b" }, { model_name: "a" }],
    },
    // The names stood there, either because people had chosen them or because they had voted before.
    { tstamp: 4, type: "rightvote", models: ["a", "b"], states: [{ model_name: "a" }, { model_name: "b" }] },
    {
      tstamp: 5,
      type: "tievote",
      models: ["### Model A: a", "### Model B: b"],
      states: [{ model_name: "a" }, { model_name: "b" }],
    },
    { tstamp: 6, type: "tievote", models: [null, "b"], states: [{ model_name: null }, { model_name: "b" }] },
    { type: "tievote", models: ["b", "c"] },
  ];
  const served = await file("log.jsonl", lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const battles = [
    { question_id: "q", model_a: "a", model_b: "c", winner: "model_b", judge: "arena_user_1", turn: 2, anony: true },
    { model_a: "c", model_b: "b", winner: "tie (bothbad)", anony: true },
    { model_a: "c", model_b: "b", winner: "tie", anony: false },
  ];
  const published = await file("battles.json", JSON.stringify(battles));
  expect(await readVotes([served, published])).toEqual({
    votes: [
      { models: ["a", "b"], outcome: "left" },
      { models: ["b", "a"], outcome: "both bad" },
      { models: ["b", "c"], outcome: "tie" },
      { models: ["a", "c"], outcome: "right" },
      { models: ["c", "b"], outcome: "both bad" },
    ],
    named: 3,
    others: 2,
  });
  const odd = await file("odd.jsonl", '{"model_a": "a", "model_b": "b", "winner": "a"}\n');
  await expect(readVotes([odd])).rejects.toThrow(/odd\.jsonl:1: expected a vote: .*found model_a, model_b, winner/);
  const nameless = await file("nameless.jsonl", '{"type": "leftvote", "models": ["", ""], "states": [{}, {}]}\n');
  await expect(readVotes([nameless])).rejects.toThrow(
    /nameless\.jsonl:1: expected a vote: .*with the names in models or states/,
  );
  const twice = await file("twice.jsonl", '{"type": "leftvote", "models": ["a", "a"]}\n');
  await expect(readVotes([twice])).rejects.toThrow('twice.jsonl:1: expected a vote on two models, found "a" twice');
});

test("two models are as far apart as their odds, whoever stood left, a tie being half a win", () => {
  const cast = votes(["a", "b", "left", 20], ["b", "a", "right", 30], ["a", "b", "right", 10], ["b", "a", "tie", 20]);
  const result = rateModels({ votes: cast, named: 0, others: 0 }, "votes");
  const [first, second] = result.models;
  // 60 of 80: the odds are three, and 400 points are a factor of ten.
  expect(first!.value - second!.value).toBeCloseTo(400 * Math.log10(3), 5);
  expect((first!.value + second!.value) / 2).toBeCloseTo(1000, 6);
  expect(first).toMatchObject({ model: "a", votes: 80, wins: 50, losses: 10, ties: 20, both_bad: 0 });
  expect(result.win_matrix).toEqual([
    [null, 0.75],
    [0.25, null],
  ]);
  const [pair] = result.pairs;
  expect(pair).toMatchObject({ model: "a", against: "b", wins: 50, losses: 10, ties: 20, verdict: "better" });
  // By the delta method, from the spread of the shares won: 1, 0 and a half around 0.75.
  const spread = Math.sqrt((50 * 0.25 ** 2 + 10 * 0.75 ** 2 + 20 * 0.25 ** 2) / 80);
  const error = ((400 / Math.LN10) * spread) / Math.sqrt(80) / (0.75 * 0.25);
  expect((pair!.high - pair!.low) / (2 * 1.96 * error)).toBeGreaterThan(0.9);
  expect((pair!.high - pair!.low) / (2 * 1.96 * error)).toBeLessThan(1.15);
});

test("who never met is compared through the others; who is connected by nothing is refused", () => {
  const chain = votes(["a", "b", "left", 30], ["a", "b", "right", 10], ["b", "c", "left", 30], ["b", "c", "right", 10]);
  const { pairs, models } = rateModels({ votes: chain, named: 0, others: 0 }, "votes");
  expect(models.map(({ model }) => model)).toEqual(["a", "b", "c"]);
  const apart = pairs.find(({ model, against }) => model === "a" && against === "c")!;
  expect(apart.value).toBeCloseTo(2 * 400 * Math.log10(3), 4);
  expect(apart).toMatchObject({ p: Number.NaN, verdict: "within noise" });
  const islands = votes(["a", "b", "left", 3], ["c", "d", "left", 3]);
  expect(() => rateModels({ votes: islands, named: 0, others: 0 }, "votes")).toThrow(
    "votes: expected models that votes connect, but nothing connects c, d with a; rate them apart",
  );
});

test("the command prints ratings, the matrix and the comparison", async () => {
  const lines = votes(["a", "b", "left", 40], ["a", "b", "right", 12], ["b", "a", "both bad", 8]).map(
    ({ models, outcome }) => ({
      models,
      type: { left: "leftvote", right: "rightvote", tie: "tievote", "both bad": "bothbad_vote" }[outcome],
    }),
  );
  const path = await file("votes.jsonl", lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const run = async (...more: string[]) => {
    const streams = memoryStreams();
    const code = await runCommandLine(["evaluate", "arena", ...more], streams, new AbortController().signal, [
      evaluateVerb,
    ]);
    return { code, out: streams.stdout.text, error: streams.stderr.text };
  };
  const { out } = await run("--votes", path);
  expect(out).toMatch(/^a +10\d\d \[\d+, \d+\] +60 +40 +12 +0 +8$/m);
  expect(out).toMatch(/^a +0\.73$/m);
  expect(out).toMatch(/^a against b: better, \+\d+ \[\+\d+, \+\d+\] points \(40 won, 12 lost, 8 tied, p 0\.000\d\)$/m);
  expect(JSON.parse((await run("--votes", path, "--json")).out)).toMatchObject({ benchmark: "arena", votes: 60 });
  expect(await run()).toEqual({
    code: 2,
    out: "",
    error: "fusechat evaluate arena: expected votes; add --votes FILE, as fusechat serve or FastChat writes it\n",
  });
});
