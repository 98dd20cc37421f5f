/** On golden tokenizers and templates, with an engine of our own that gives every token the same probability. */
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { type Conversation, conversationId, type Turn } from "#src/data/conversation.js";
import type { Engine, Sequence } from "#src/engine/engine.js";
import { evaluateHeldOut, heldOut } from "#src/evaluate/benchmarks/held-out.js";
import { compareHeldOut } from "#src/evaluate/benchmarks/held-out-comparison.js";
import type { HeldOutResult } from "#src/evaluate/benchmarks/held-out-result.js";
import { BENCHMARKS, benchmark } from "#src/evaluate/benchmarks/index.js";
import { type ReporterEvent, silent } from "#src/reporter.js";

const models = resolve(import.meta.dirname, "../../golden/models");
const mistral = join(models, "mistral");
/** Its template trims contents and refuses system turns. */
const gemma2 = join(models, "gemma2");

/** Every label costs `nats(folder, rows seen before)`. */
function fakeEngine(nats: (folder: string, row: number) => number): Engine {
  return {
    kind: "fake",
    facts: () => Promise.reject(new Error("not asked for")),
    open: async (folder) => {
      let row = 0;
      return {
        folder,
        vocabulary: 500,
        parameters: 0,
        rows: async (sequences: readonly Sequence[]) => {
          const count = sequences.reduce((sum, { positions }) => sum + positions.length, 0);
          const labelLogp = Float32Array.from({ length: count }, () => -nats(folder, row++));
          return { labelLogp, topId: new Int32Array(count), topLogp: labelLogp };
        },
        logits: () => Promise.reject(new Error("not asked for")),
        generate: () => Promise.reject(new Error("not asked for")),
        dispose: async () => {},
      };
    },
    train: () => Promise.reject(new Error("not asked for")),
    dispose: async () => {},
  };
}

function conversation(answers: readonly string[], rest: Partial<Conversation> = {}, system?: string): Conversation {
  const turns: Turn[] = system === undefined ? [] : [{ role: "system", content: system }];
  for (const [i, content] of answers.entries()) {
    turns.push({ role: "user", content: `Question ${i}?` }, { role: "assistant", content });
  }
  return { id: conversationId(turns), turns, ...rest };
}

function evaluate(
  conversations: readonly Conversation[],
  changes: { model?: string; maxLength?: number; name?: string } = {},
  engine: Engine = fakeEngine(() => 0.5),
): Promise<HeldOutResult> {
  return evaluateHeldOut({ model: mistral, maxLength: 2048, conversations, ...changes }, { engine, reporter: silent });
}

describe("nats per byte", () => {
  test("is the sum over rows by the bytes of the contents and one for each end of turn", async () => {
    const result = await evaluate([conversation(["Hello there."]), conversation(["Yes", "No"])]);
    expect(result).toMatchObject({ benchmark: "held-out", model: "mistral", conversations: 2, refused: 0 });
    expect(result.bytes).toBe(12 + 1 + 3 + 1 + 2 + 1);
    expect(result.per_conversation.map(({ bytes }) => bytes)).toEqual([13, 7]);
    const { value, low, high, unit, prompts } = result.metrics.nats_per_byte!;
    expect(value).toBeCloseTo((0.5 * result.rows) / result.bytes, 12);
    expect(low).toBeLessThanOrEqual(value);
    expect(high).toBeGreaterThanOrEqual(value);
    expect([unit, prompts]).toEqual(["nats/byte", 2]);
    expect(Object.keys(result.metrics)).toEqual(["nats_per_byte"]);
  });

  test("comes for each skill, in order of appearance", async () => {
    const result = await evaluate([
      conversation(["one"], { skill: "numbers" }),
      conversation(["a dog"], { skill: "animals" }),
      conversation(["two hundred"], { skill: "numbers" }),
    ]);
    expect(Object.keys(result.metrics)).toEqual(["nats_per_byte", "nats_per_byte/numbers", "nats_per_byte/animals"]);
    const [first, second, third] = result.per_conversation;
    expect(result.metrics["nats_per_byte/numbers"]).toMatchObject({
      value: (first!.nats + third!.nats) / (first!.bytes + third!.bytes),
      prompts: 2,
    });
    expect(result.metrics["nats_per_byte/animals"]!.value).toBeCloseTo(second!.nats / second!.bytes, 12);
    expect(first).toMatchObject({ skill: "numbers", id: conversation(["one"]).id });
  });

  test("is the same when asked again", async () => {
    const data = [conversation(["Hello."]), conversation(["Goodbye, all of you."]), conversation(["Hm"])];
    expect(await evaluate(data)).toEqual(await evaluate(data));
  });
});

describe("the distance above the floor", () => {
  test("is (nats - floor) / bytes, over the conversations that have one", async () => {
    const result = await evaluate([
      conversation(["rain"], { skill: "weather", floorNats: 0.25 }),
      conversation(["snow"], { skill: "weather", floorNats: 0.5 }),
      conversation(["forty-two"], { skill: "sums" }),
    ]);
    const [rain, snow] = result.per_conversation;
    const expected = (rain!.nats + snow!.nats - 0.75) / (rain!.bytes + snow!.bytes);
    expect(result.metrics.above_floor).toMatchObject({ unit: "nats/byte", prompts: 2 });
    expect(result.metrics.above_floor!.value).toBeCloseTo(expected, 12);
    expect(result.metrics["above_floor/weather"]!.value).toBeCloseTo(expected, 12);
    expect(Object.keys(result.metrics)).not.toContain("above_floor/sums");
    expect(result.per_conversation.map(({ floor_nats }) => floor_nats)).toEqual([0.25, 0.5, undefined]);
  });

  test("leaves out a conversation that max_length has cut, in a response or after a turn", async () => {
    const long = conversation(["word ".repeat(60)], { floorNats: 1 });
    const twoTurns = conversation(["Yes", "word ".repeat(60)], { floorNats: 1 });
    const whole = conversation(["Yes"], { floorNats: 1 });
    const result = await evaluate([long, twoTurns, whole], { maxLength: 120 });
    expect(result.metrics.above_floor!.prompts).toBe(1);
    expect(result.per_conversation.map(({ floor_nats }) => floor_nats)).toEqual([undefined, undefined, 1]);
  });
});

describe("conversations that a template refuses", () => {
  const data = [
    conversation(["Yes."]),
    conversation(["It is seven."], {}, "You are brief."),
    conversation(["Perhaps, but who knows?"]),
  ];

  test("count nowhere and are told", async () => {
    const events: ReporterEvent[] = [];
    const reporter = { report: (event: ReporterEvent) => events.push(event) };
    const engine = fakeEngine(() => 1);
    const result = await evaluateHeldOut({ model: gemma2, maxLength: 2048, conversations: data }, { engine, reporter });
    expect(result).toMatchObject({ conversations: 2, refused: 1 });
    expect(result.per_conversation.map(({ id }) => id)).toEqual([data[0]!.id, data[2]!.id]);
    const warning = events.find(({ type }) => type === "warning");
    expect(warning).toMatchObject({
      message: expect.stringMatching(/^the template refuses 1 of 3 conversations \(.*\); they are left out$/),
    });
  });

  test("are left out of both sides of a comparison", async () => {
    const engine = fakeEngine((folder) => (folder === gemma2 ? 1 : 0.5));
    const ours = await evaluate(data, {}, engine);
    const theirs = await evaluate(data, { model: gemma2 }, engine);
    expect([ours.conversations, theirs.conversations]).toEqual([3, 2]);
    const { model, against, prompts, metrics } = compareHeldOut(ours, theirs);
    expect([model, against, prompts]).toEqual(["mistral", "gemma2", 2]);
    const own = ours.per_conversation.filter((_, i) => i !== 1);
    const figure = own.reduce((sum, { nats }) => sum + nats, 0) / own.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(metrics.nats_per_byte!.value).toBeCloseTo(figure - theirs.metrics.nats_per_byte!.value, 12);
    expect(metrics.nats_per_byte).toMatchObject({ prompts: 2 });
  });

  test("are an error where nothing else is left", async () => {
    await expect(evaluate([data[1]!], { model: gemma2 })).rejects.toThrow(
      /gemma2: the template refuses every conversation: .*/,
    );
  });
});

describe("a comparison", () => {
  const data = Array.from({ length: 40 }, (_, i) =>
    conversation([`Answer number ${i * 37} of many.`], { skill: i % 2 === 0 ? "even" : "odd", floorNats: 1 }),
  );

  test("works on result documents read from files, metric by metric", async () => {
    const worse = await evaluate(
      data,
      { name: "a" },
      fakeEngine((_, row) => 0.6 + 0.01 * (row % 7)),
    );
    const better = await evaluate(
      data,
      { name: "b" },
      fakeEngine((_, row) => 0.5 + 0.01 * (row % 5)),
    );
    const read = (result: HeldOutResult): HeldOutResult => JSON.parse(JSON.stringify(result));
    const comparison = compareHeldOut(read(better), read(worse));
    expect(comparison).toMatchObject({ model: "b", against: "a", prompts: 40 });
    expect(Object.keys(comparison.metrics)).toEqual(Object.keys(better.metrics));
    for (const [name, { value, low, high, p }] of Object.entries(comparison.metrics)) {
      expect(value).toBeCloseTo(better.metrics[name]!.value - worse.metrics[name]!.value, 12);
      expect(low).toBeLessThan(value);
      expect(high).toBeGreaterThan(value);
      expect(high).toBeLessThan(0);
      expect(p).toBeLessThan(0.01);
    }
    expect(compareHeldOut(worse, better).metrics.nats_per_byte).toMatchObject({
      value: expect.closeTo(-compareHeldOut(better, worse).metrics.nats_per_byte!.value, 12),
    });
    expect(compareHeldOut(better, better).metrics.nats_per_byte).toMatchObject({ value: 0, p: 1 });
  });

  test("pairs a conversation that comes twice with its own occurrence", async () => {
    const twice = [data[0]!, data[1]!, data[0]!];
    const result = await evaluate(
      twice,
      {},
      fakeEngine((_, row) => 0.1 * row),
    );
    const comparison = compareHeldOut(result, result);
    expect(comparison.prompts).toBe(3);
    expect(comparison.metrics.nats_per_byte).toMatchObject({ value: 0, low: 0, high: 0 });
  });

  test("needs a conversation in common", async () => {
    const a = await evaluate([data[0]!], { name: "a" });
    const b = await evaluate([data[1]!], { name: "b" });
    expect(() => compareHeldOut(a, b)).toThrow("held-out: a and b have no conversation in common; nothing to compare");
  });
});

describe("what cannot be measured", () => {
  test("an empty data set", async () => {
    await expect(evaluate([])).rejects.toThrow("evaluate held-out: the data set is empty");
  });

  test("a max_length that reaches no response", async () => {
    await expect(evaluate([conversation(["Yes"])], { maxLength: 3 })).rejects.toThrow(
      /mistral: with max_length 3 every conversation is cut before its first response/,
    );
  });

  test("weights that give no number", async () => {
    const engine = fakeEngine((_, row) => (row === 5 ? Number.NaN : 1));
    const data = [conversation(["A"]), conversation(["Hello there."])];
    await expect(evaluate(data, {}, engine)).rejects.toThrow(/gives conversation 1 NaN nats; its weights are broken/);
  });

  test("stops between two chunks when interrupted", async () => {
    const controller = new AbortController();
    controller.abort();
    const context = { engine: fakeEngine(() => 1), reporter: silent, signal: controller.signal };
    const options = { model: mistral, maxLength: 64, conversations: [conversation(["A"])] };
    await expect(evaluateHeldOut(options, context)).rejects.toThrow("held-out mistral: interrupted");
  });
});

test("a benchmark is found by its name, and a misspelt one is told its neighbour", () => {
  expect(benchmark("held-out")).toBe(heldOut);
  for (const { name, summary, source } of BENCHMARKS) {
    for (const text of [name, summary, source]) expect(text.length).toBeGreaterThan(3);
  }
  expect(() => benchmark("heldout")).toThrow(
    'evaluate: unknown benchmark "heldout"; did you mean "held-out"? (there is: ',
  );
});
