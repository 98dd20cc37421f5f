import { expect, test } from "vitest";
import {
  compareExactMatch,
  type ExactMatchPrompt,
  type ExactMatchResult,
  exactMatchResult,
} from "#src/evaluate/benchmarks/exact-match/result.js";

const settings = { rule: "text", max_tokens: 8, temperature: 0, reasoning: "drop" } as const;

function prompt(id: number, correct: boolean, rest: Partial<ExactMatchPrompt> = {}): ExactMatchPrompt {
  const extracted = correct ? "yes" : "no";
  return { id: `prompt ${id}`, correct, extracted, expected: "yes", answer: extracted, finish: "stop", ...rest };
}

function result(model: string, prompts: readonly ExactMatchPrompt[]): ExactMatchResult {
  return exactMatchResult(model, settings, prompts, 0);
}

test("accuracy is the percentage of right answers, with Wilson's interval, for each skill too", () => {
  const prompts = Array.from({ length: 20 }, (_, i) => prompt(i, i < 15, { skill: i % 4 === 0 ? "sums" : "names" }));
  const { metrics } = result("m", prompts);
  expect(Object.keys(metrics)).toEqual(["accuracy", "accuracy/sums", "accuracy/names"]);
  expect(metrics.accuracy).toMatchObject({ value: 75, unit: "%", prompts: 20 });
  // Wilson's interval of 15 of 20, as tables give it: 53.1 to 88.8 %.
  expect(metrics.accuracy!.low).toBeCloseTo(53.13, 2);
  expect(metrics.accuracy!.high).toBeCloseTo(88.81, 2);
  expect(metrics["accuracy/sums"]).toMatchObject({ value: 80, prompts: 5 });
});

test("no answer right, or all of them, is no certainty", () => {
  const none = result(
    "m",
    [0, 1, 2, 3].map((i) => prompt(i, false)),
  ).metrics.accuracy!;
  const all = result(
    "m",
    [0, 1, 2, 3].map((i) => prompt(i, true)),
  ).metrics.accuracy!;
  expect([none.value, none.low, all.value, all.high]).toEqual([0, 0, 100, 100]);
  expect(none.high).toBeCloseTo(48.99, 2);
  expect(all.low).toBeCloseTo(51.01, 2);
});

test("answers without a finding, without text, and cut ones are counted", () => {
  const prompts = [
    prompt(0, true),
    prompt(1, false, { extracted: null, answer: "hm" }),
    prompt(2, false, { extracted: null, answer: " " }),
    prompt(3, true, { finish: "length" }),
  ];
  expect(exactMatchResult("m", settings, prompts, 3)).toMatchObject({
    benchmark: "exact-match",
    prompts: 4,
    unparsed: 2,
    empty: 1,
    cut: 1,
    refused: 3,
  });
});

test("a comparison is McNemar's exact test on the prompts that both were asked, read from files", () => {
  const read = (document: ExactMatchResult): ExactMatchResult => JSON.parse(JSON.stringify(document));
  // 40 in common: 9 that only a has right, 1 that only b has, 30 alike.
  const a = read(
    result(
      "a",
      Array.from({ length: 45 }, (_, i) => prompt(i, i < 9 || i >= 25)),
    ),
  );
  const b = read(
    result(
      "b",
      Array.from({ length: 40 }, (_, i) => prompt(i, i === 10 || i >= 25)),
    ),
  );
  const comparison = compareExactMatch(a, b);
  expect(comparison).toMatchObject({ model: "a", against: "b", prompts: 40 });
  const { value, low, high, p, prompts, unit, detectable } = comparison.metrics.accuracy!;
  expect(value).toBeCloseTo((100 * (9 - 1)) / 40, 12);
  expect([prompts, unit]).toEqual([40, "%"]);
  expect(p).toBeCloseTo((2 * (1 + 10)) / 1024, 14);
  expect(low).toBeGreaterThan(0);
  expect(high).toBeLessThan(40);
  // Ten pairs that differ, nine one way: a spread of 46 percentage points; 2.8 of 46 / root 40, and a little for Student.
  expect(detectable).toBeGreaterThan(20);
  expect(detectable).toBeLessThan(22);
  expect(compareExactMatch(b, a).metrics.accuracy).toMatchObject({ value: -value });
  expect(compareExactMatch(a, a).metrics.accuracy).toMatchObject({ value: 0, p: 1 });
});

test("results by two rules, or without a prompt in common, are not compared", () => {
  const a = result("a", [prompt(1, true)]);
  expect(() =>
    compareExactMatch(a, exactMatchResult("b", { ...settings, rule: "json" }, [prompt(1, true)], 0)),
  ).toThrow("exact-match: a was read by the rule text, b by json; use one rule");
  expect(() => compareExactMatch(a, result("b", [prompt(2, true)]))).toThrow(
    "exact-match: a and b have no prompt in common; nothing to compare",
  );
});
