/** Gates: what is understood, what is refused and how, and when one is met. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Difference, Metric } from "#src/evaluate/benchmarks/benchmark.js";
import type { Gate, GateVocabulary } from "#src/evaluate/gates/gate.js";
import { type GateFigures, judgeGate } from "#src/evaluate/gates/judge.js";
import { parseGates } from "#src/evaluate/gates/parse.js";

const MODELS = ["openchat_3.5", "openchat", "target-qwen2", "fused", "sft-merge"];
const VOCABULARY: GateVocabulary = {
  models: [{ word: "pivot", model: "openchat_3.5" }, ...MODELS.map((name) => ({ word: name, model: name }))],
  evaluations: [
    { name: "held-out", metric: "nats_per_byte", metrics: ["nats_per_byte", "above_floor"], models: MODELS },
    { name: "exact-match", metric: "accuracy", models: ["openchat_3.5", "fused"] },
    { name: "exact-match-2", metric: "accuracy", models: MODELS },
  ],
};

function gate(text: string): Gate {
  const { gates, problems } = parseGates([text], VOCABULARY);
  expect(problems).toEqual([]);
  return gates[0]!;
}

function problem(...texts: string[]): string {
  const { problems } = parseGates(texts, VOCABULARY);
  expect(problems).toHaveLength(1);
  return problems[0]!.message;
}

describe("what a gate may say", () => {
  test("two models, the headline metric, and the paired test", () => {
    expect(gate("fused.held_out < pivot.held_out, p < 0.01")).toEqual({
      text: "fused.held_out < pivot.held_out, p < 0.01",
      left: { kind: "figure", model: "fused", evaluation: "held-out", metric: "nats_per_byte", offset: 0 },
      relation: "<",
      right: { kind: "figure", model: "openchat_3.5", evaluation: "held-out", metric: "nats_per_byte", offset: 0 },
      p: { relation: "<", value: 0.01 },
    });
  });

  test("p on a line of its own belongs to the line before: a YAML list in brackets is cut at the comma", () => {
    const { gates } = parseGates(["fused.held_out < pivot.held_out", "p < 0.01", "fused.exact_match > 50"], VOCABULARY);
    expect(gates.map(({ text, p }) => [text, p?.value ?? null])).toEqual([
      ["fused.held_out < pivot.held_out, p < 0.01", 0.01],
      ["fused.exact_match > 50", null],
    ]);
  });

  test.each([
    ["fused.held-out.above_floor/add <= 0.5", "held-out", "above_floor/add"],
    ["fused.HELD_OUT.nats-per-byte <= 0.5", "held-out", "nats-per-byte"],
    ["target_qwen2.exact_match_2 <= 0.5", "exact-match-2", "accuracy"],
    ["openchat_3.5.exact-match.accuracy/v1.5 <= 5e-1", "exact-match", "accuracy/v1.5"],
  ])("names with dots, hyphens and underscores: %s", (text, evaluation, metric) => {
    expect(gate(text).left).toMatchObject({ evaluation, metric });
    expect(gate(text).right).toEqual({ kind: "number", value: 0.5 });
  });

  test("of two models whose names begin alike the longer is meant", () => {
    expect(gate("openchat_3.5.held_out < openchat.held_out")).toMatchObject({
      left: { model: "openchat_3.5" },
      right: { model: "openchat" },
    });
  });

  test("numbers are added and taken away on either side", () => {
    expect(gate("fused.exact_match - 1 > pivot.exact_match + 2 - 0.5")).toMatchObject({
      left: { offset: -1 },
      right: { offset: 1.5 },
    });
    expect(gate("-0.5 + 1 >= fused.held_out").left).toEqual({ kind: "number", value: 0.5 });
  });
});

describe("what is refused", () => {
  test.each([
    [
      "fused.held_out",
      'expected one comparison by <, <=, > or >=, such as fused.held_out < pivot.held_out, p < 0.01, found "fused.held_out"',
    ],
    ["fused.held_out == pivot.held_out", "expected one comparison by <, <=, > or >="],
    ["1 < fused.held_out < 2", "expected one comparison by <, <=, > or >="],
    ["1 < 2", "two numbers say nothing of a model; write fused.held_out < pivot.held_out, p < 0.01"],
    [
      "fusd.held_out < 1",
      'unknown model "fusd"; did you mean "fused"? (there is: pivot, openchat_3.5, openchat, target-qwen2, fused, sft-merge)',
    ],
    [
      "fused < 1",
      'expected model.benchmark or a number, such as fused.held_out < pivot.held_out, p < 0.01, found "fused"',
    ],
    [
      "fused.heldout < 1",
      'unknown benchmark "heldout"; did you mean "held-out"? (there is: held-out, exact-match, exact-match-2)',
    ],
    ["fused.held_out.nats < 1", 'held-out has no metric "nats" (there is: nats_per_byte, above_floor)'],
    [
      "fused.held_out.above_flor < 1",
      'held-out has no metric "above_flor"; did you mean "above_floor"? (there is: nats_per_byte, above_floor)',
    ],
    ["target-qwen2.exact_match > 1", "exact-match does not evaluate target-qwen2 (but openchat_3.5, fused)"],
    ["fused.held_out < pivot.held_out * 2", 'expected "+ number" or "- number" behind pivot.held_out, found "* 2"'],
    ["fused.held_out < pivot.held_out, q < 0.01", 'expected nothing or "p < 0.01" after the comma, found "q < 0.01"'],
    ["fused.held_out < pivot.held_out, p > 0.01", 'expected p < x with x above 0 and at most 1, found "p > 0.01"'],
    ["fused.held_out < pivot.held_out, p < 5", 'expected p < x with x above 0 and at most 1, found "p < 5"'],
    ["fused.held_out < 1, p < 0.01", "p needs two models that are compared; a number has no p"],
    [
      "fused.held_out < pivot.exact_match, p < 0.01",
      "p needs two models that are compared by the same metric of the same benchmark",
    ],
    [
      "fused.held_out < fused.held_out, p < 0.01",
      "p needs two models that are compared by the same metric of the same benchmark",
    ],
    [
      "fused.held_out < pivot.held_out + 1, p < 0.01",
      "p tests whether the two models differ at all; it has no part in a comparison with + or -",
    ],
    [
      "p < 0.01",
      "p speaks of the comparison before it, and there is none; write one, such as fused.held_out < pivot.held_out, p < 0.01",
    ],
  ])("%s", (text, message) => {
    expect(problem(text)).toContain(message);
  });

  test("whatever the text, there is a gate or a problem, and never another exception", () => {
    const words = fc.constantFrom("fused", ".", "held_out", "<", ">", "p", ",", "+", "0.1", " ", "pivot.held_out", "=");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words).map((list) => list.join("")),
        ),
        (text) => {
          const { gates, problems } = parseGates([text], VOCABULARY);
          expect(gates.length + problems.length).toBe(1);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("when a gate is met", () => {
  const metric = (value: number): Metric => ({
    value,
    low: value - 0.1,
    high: value + 0.1,
    unit: "nats/byte",
    prompts: 40,
  });
  const figures = (p: number): GateFigures => ({
    metrics: (_, model) => ({
      nats_per_byte: metric(model === "fused" ? 1.25 : 1.5),
      "above_floor/add": metric(Number.NaN),
    }),
    difference: (_evaluation, name, model, against) =>
      name === "nats_per_byte" && model === "fused" && against === "openchat_3.5"
        ? ({ ...metric(-0.25), p, verdict: "better" } as Difference)
        : undefined,
  });
  const judged = (text: string, p = 0.004) => judgeGate(gate(text), figures(p));

  test("both the comparison and p must hold", () => {
    expect(judged("fused.held_out < pivot.held_out, p < 0.01")).toEqual({
      gate: "fused.held_out < pivot.held_out, p < 0.01",
      met: true,
      figures: "1.25 < 1.5, p 0.004 < 0.01",
      ...{ left: 1.25, right: 1.5, p: 0.004 },
    });
    expect(judged("fused.held_out < pivot.held_out, p < 0.01", 0.02)).toMatchObject({
      met: false,
      figures: "1.25 < 1.5, p 0.02 < 0.01 does not hold",
    });
    expect(judged("fused.held_out > pivot.held_out, p < 0.01")).toMatchObject({
      met: false,
      figures: "1.25 > 1.5 does not hold, p 0.004 < 0.01",
    });
  });

  test("numbers count as they are added", () => {
    expect(judged("fused.held_out < pivot.held_out - 0.25")).toMatchObject({ met: false, right: 1.25 });
    expect(judged("fused.held_out <= pivot.held_out - 0.25")).toMatchObject({ met: true });
    expect(judged("1 >= fused.held_out")).toMatchObject({ met: false, figures: "1 >= 1.25 does not hold" });
  });

  test("a figure that is missing or no number meets nothing", () => {
    expect(judged("fused.held_out.above_floor/ad < 5")).toMatchObject({
      met: false,
      left: null,
      figures:
        'fused has no figure "above_floor/ad"; did you mean "above_floor/add"? (there is: nats_per_byte, above_floor/add) in held-out',
    });
    expect(judged("fused.held_out.above-floor/add < 5")).toMatchObject({
      met: false,
      figures: "fused has no number as above_floor/add in held-out",
    });
    expect(judged("fused.held_out < target-qwen2.held_out, p < 0.05")).toMatchObject({
      met: false,
      figures: "1.25 < 1.5, the two cannot be paired",
    });
  });
});
