import { expect, test } from "vitest";
import { FUSION_FUNCTIONS, fusionFunction } from "#src/fuse/functions/index.js";

test("min-ce gives the row to the cheaper model, and a tie to the pivot", () => {
  const { sourceShare, blends } = fusionFunction("min-ce");
  expect([sourceShare(2, 1), sourceShare(1, 2), sourceShare(1, 1)]).toEqual([1, 0, 0]);
  expect(blends).toBe(false);
});

test("a name that nobody has is told its neighbour and the whole list", () => {
  expect(() => fusionFunction("min_ce")).toThrow(
    'fuse: unknown fusion function "min_ce"; did you mean "min-ce"? (there is: min-ce)',
  );
});

test("every function says what it is and where it comes from", () => {
  for (const { summary, paper } of FUSION_FUNCTIONS) {
    expect(summary.length).toBeGreaterThan(10);
    expect(paper).toMatch(/^https:\/\//);
  }
});
