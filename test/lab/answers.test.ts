import { expect, test } from "vitest";
import { answersOf, certain, drawAnswer, entropyNats, phrased } from "#src/lab/answers.js";
import { createRandom } from "#src/random.js";

test("outcomes that spell the same text are one answer, their probabilities added", () => {
  const answers = answersOf([
    { value: "rain", probability: 0.25 },
    { value: "sun", probability: 0.5 },
    { value: "rain", probability: 0.25 },
  ]);
  expect([...answers]).toEqual([
    ["rain", 0.5],
    ["sun", 0.5],
  ]);
});

test("phrasings multiply with outcomes", () => {
  const answers = phrased(
    [
      { value: "a", probability: 0.9 },
      { value: "b", probability: 0.1 },
    ],
    [
      { value: (text) => `${text}!`, probability: 0.5 },
      { value: () => "well", probability: 0.5 },
    ],
  );
  expect(answers.get("a!")).toBeCloseTo(0.45, 12);
  expect(answers.get("b!")).toBeCloseTo(0.05, 12);
  expect(answers.get("well")).toBeCloseTo(0.5, 12);
});

test("entropy of a fair coin is ln 2, of a certain answer 0", () => {
  expect(
    entropyNats(
      new Map([
        ["heads", 0.5],
        ["tails", 0.5],
      ]),
    ),
  ).toBeCloseTo(Math.LN2, 12);
  expect(entropyNats(certain("yes"))).toBe(0);
});

test("drawn frequencies agree with the table", () => {
  const answers = new Map([
    ["a", 0.6],
    ["b", 0.3],
    ["c", 0.1],
  ]);
  const random = createRandom("test");
  const counts = new Map<string, number>();
  const draws = 20_000;
  for (let i = 0; i < draws; i++) {
    const text = drawAnswer(answers, random);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  // Four standard deviations of the largest: 4 * sqrt(0.24 / 20,000) = 0.014.
  for (const [text, probability] of answers) {
    expect(Math.abs((counts.get(text) ?? 0) / draws - probability)).toBeLessThan(0.014);
  }
});
