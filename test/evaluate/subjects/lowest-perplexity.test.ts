import { expect, test } from "vitest";
import { leastSurprising } from "#src/evaluate/subjects/lowest-perplexity.js";

test("the least surprising answer has the lowest mean over the readers that read all answers", () => {
  expect(
    leastSurprising([
      [1, 2],
      [3, 1.5],
    ]),
  ).toBe(1);
  expect(
    leastSurprising([
      [1, 2],
      [2, 1],
    ]),
  ).toBe(0);
  // The second reader could not read the first answer, so it has no say.
  expect(
    leastSurprising([
      [1, 2],
      [null, 0],
    ]),
  ).toBe(0);
  expect(
    leastSurprising([
      [null, 2],
      [null, 0],
    ]),
  ).toBe(0);
});
