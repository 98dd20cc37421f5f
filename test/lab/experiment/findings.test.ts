/** Distances, effects and curves, by hand. */
import { expect, test } from "vitest";
import type { Conversation } from "#src/data/conversation.js";
import { findings } from "#src/lab/experiment/findings.js";
import type { Measured } from "#src/lab/experiment/make.js";
import { experimentPage } from "#src/lab/experiment/page.js";
import { EXPERIMENT } from "#src/lab/experiment/settings.js";

const settings = { ...EXPERIMENT, conversations: 200, curve: [100, 200, 400], held_out: 2 };
const heldOut = [
  { id: "a", turns: [], skill: "one", floorNats: 1 },
  { id: "b", turns: [], skill: "two", floorNats: 2 },
] as const satisfies Conversation[];

/** Ten bytes a conversation; what it needs above the floor. */
const measured = (model: string, ...above: number[]): [string, Measured] => [
  model,
  { model, nats: above.map((nats, n) => nats + n + 1), bytes: [10, 10] },
];

const seed = (fused: number): ReadonlyMap<string, Measured> =>
  new Map([
    measured("pivot", 4, 6),
    measured("source", 3, 3),
    measured("sft-0 of 100", 4, 4),
    measured("sft-0", 3, 3),
    measured("sft-0 of 400", 1, 1),
    ...["fused", "fused-group", "together"].map((name) => measured(name, fused, fused)),
    measured("together-group", 0.5, 0.5),
    measured("together-group of 100", 2, 2),
    measured("together-group of 400", 0, 0),
    measured("recommended", 3, 5),
  ]);
const result = findings({
  ...{ settings, pivot: "pivot", sources: ["source"], heldOut, bySeed: [seed(2), seed(3)] },
  claims: [{ text: "fused is better than the pivot", arms: ["fused"], than: ["pivot"] }],
});

test("a model's distance is above the floor, by seed and by skill", () => {
  expect(result.models.find(({ name }) => name === "pivot")).toEqual({
    name: "pivot",
    above_floor: 0.5,
    by_seed: [0.5, 0.5],
    by_skill: { one: 0.4, two: 0.6 },
  });
  expect(result.models.find(({ name }) => name === "fused")).toMatchObject({ above_floor: 0.25, by_seed: [0.2, 0.3] });
});

test("an effect is the difference of distances", () => {
  expect(result.claims[0]).toMatchObject({ claim: "fused is better than the pivot", value: -0.25 });
});

test("what fine-tuning needs lies on its curve, logarithmic in conversations, and nowhere beyond it", () => {
  const { fused, "together-group": group } = result.fine_tuning_needs;
  // 0.2 is half-way from 0.3 (200) to 0.1 (400), 0.3 is where 200 are.
  expect(fused![0]).toBeCloseTo(200 * Math.SQRT2, 6);
  expect(fused![1]).toBeCloseTo(200, 6);
  expect(group).toEqual([null, null]);
});

test("the recommended way stands beside the best given model of each skill", () => {
  expect(result.skills).toMatchObject([
    { skill: "one", best: "source", best_above_floor: 0.3, value: 0 },
    { skill: "two", best: "source", best_above_floor: 0.3, value: 0.2 },
  ]);
});

test("the page has a line a claim, a model and a point of the curve", () => {
  const page = experimentPage(result);
  expect(page).toContain("| fused is better than the pivot | -250.0 [");
  expect(page).toContain("| pivot | 500.0 | 400.0 | 600.0 |");
  expect(page).toContain("| 400 | 100.0 ± 0.0 | 0.0 ± 0.0 |");
  expect(page).toContain("- together-group: more than 400, more than 400");
});
