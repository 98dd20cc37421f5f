import { expect, test } from "vitest";
import { recommendedTransfer } from "#src/align/recommended.js";
import { STRATEGIES } from "#src/align/strategies/index.js";

test("split is carried over by the chain rule, the pivot's expectation and what it has written; the papers' strategies as they are defined", () => {
  const recommended = STRATEGIES.map(({ name }) => {
    const { labelMass, divide, within } = recommendedTransfer(name);
    return [name, labelMass, divide, within];
  });
  expect(recommended).toEqual([
    ["split", "chain", "pivot", "conditional"],
    ["mapping-statistics", "none", "counts", "none"],
    ["exact", "none", "counts", "none"],
    ["prefix", "none", "counts", "none"],
    ["min-edit", "none", "counts", "none"],
  ]);
});
