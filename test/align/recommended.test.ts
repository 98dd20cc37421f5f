import { expect, test } from "vitest";
import { recommendedTransfer } from "#src/align/recommended.js";
import { STRATEGIES } from "#src/align/strategies/index.js";

test("split is carried over by the chain rule and the pivot's expectation; the papers' strategies as they are defined", () => {
  const recommended = STRATEGIES.map(({ name }) => {
    const { labelMass, divide } = recommendedTransfer(name);
    return [name, labelMass, divide];
  });
  expect(recommended).toEqual([
    ["split", "chain", "pivot"],
    ["mapping-statistics", "none", "counts"],
    ["exact", "none", "counts"],
    ["prefix", "none", "counts"],
    ["min-edit", "none", "counts"],
  ]);
});
