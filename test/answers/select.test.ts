/** Which answers stay, by hand. */
import { describe, expect, test } from "vitest";
import type { Candidates } from "#src/answers/candidate.js";
import { select } from "#src/answers/select.js";

const candidates: Candidates = {
  prompt: { dialogue: { id: "prompt 1", turns: [{ role: "user", content: "?" }] }, reference: null },
  answers: [
    { source: "a", sample: 0, text: "a0", finish: "stop" },
    { source: "a", sample: 1, text: "a1", finish: "stop" },
    { source: "b", sample: 0, text: "b0", finish: "stop" },
    { source: "b", sample: 1, text: "b1", finish: "stop" },
  ],
};

const texts = (scores: (number | null)[], keep: "best" | "best-of-each" | "all", seed = "0"): string[] =>
  select(candidates, scores, keep, seed).map(({ candidate }) => candidate.text);

describe("with different scores", () => {
  const scores = [0.1, 0.4, 0.3, -2];

  test("the best of all sources, the best of each, and all", () => {
    expect(texts(scores, "best")).toEqual(["a1"]);
    expect(texts(scores, "best-of-each")).toEqual(["a1", "b0"]);
    expect(texts(scores, "all")).toEqual(["a0", "a1", "b0", "b1"]);
  });
});

test("what was ruled out never stays, and a prompt may have no answer", () => {
  expect(texts([null, null, null, -5], "best")).toEqual(["b1"]);
  expect(texts([null, 1, null, null], "best-of-each")).toEqual(["a1"]);
  expect(texts([null, 1, 2, null], "all")).toEqual(["a1", "b0"]);
  expect(texts([null, null, null, null], "best")).toEqual([]);
});

test("between equal scores the seed decides, the same each time, and every answer has its turn", () => {
  const chosen = Array.from({ length: 200 }, (_, seed) => texts([1, 1, 1, 1], "best", String(seed))[0]!);
  expect(chosen).toEqual(Array.from({ length: 200 }, (_, seed) => texts([1, 1, 1, 1], "best", String(seed))[0]!));
  for (const text of ["a0", "a1", "b0", "b1"]) {
    // 50 expected; eight standard deviations of 6.
    expect(Math.abs(chosen.filter((one) => one === text).length - 50)).toBeLessThan(48);
  }
});
