import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { planTable } from "#src/cli/plan.js";
import { assumedThroughput } from "#src/engine/onnx/throughput.js";
import { prepareConversations } from "#src/recipe/conversations.js";
import { loadRecipe } from "#src/recipe/load.js";
import { openInputs } from "#src/recipe/open-inputs.js";
import { derivePlan } from "#src/recipe/plan.js";
import { ANSWER, linesOf, newFolder, QUESTION } from "../data/files.ts";
import { MISTRAL, QWEN2, writeRecipe } from "../run/fixtures.ts";

const good = (content: string) => ({ turns: [QUESTION, { ...ANSWER, content }] });
const bad = { turns: [QUESTION, QUESTION] };

async function recipeOf(irregular: string) {
  const folder = await newFolder();
  await writeFile(join(folder, "a.jsonl"), linesOf(good("a"), bad, good("b")));
  await writeFile(join(folder, "b.jsonl"), linesOf(bad, good("c"), { turns: [] }));
  await writeFile(join(folder, "held.jsonl"), linesOf(good("d"), bad));
  const text = `pivot: ${MISTRAL}\nsources: [${QWEN2}]\ndata: { path: "[ab].jsonl", held_out_path: held.jsonl, irregular: ${irregular} }\n`;
  return loadRecipe(await writeRecipe(folder, text));
}

const LEFT_OUT = [
  { reason: "with a turn of the user after a turn of the user", count: 3, file: "a.jsonl", place: ":2" },
  { reason: "without turns", count: 1, file: "b.jsonl", place: ":3" },
];

test("with leave-out irregular records of all files are counted together, and the plan says so", async () => {
  const { recipe, where } = await recipeOf("leave-out");
  const { train, heldOut, leftOut } = await prepareConversations(recipe);
  expect([train.length, heldOut.length]).toEqual([3, 1]);
  expect(leftOut.map(({ reason, count }) => [reason, count])).toEqual(LEFT_OUT.map((one) => [one.reason, one.count]));
  const plan = derivePlan(recipe, await openInputs(recipe, where), { throughput: assumedThroughput(1) });
  expect(plan.conversations).toEqual({ train: 3, held_out: 1, overlapping: 0, left_out: LEFT_OUT });
  expect(planTable(plan)).toContain(
    "4 records are left out: 3 with a turn of the user after a turn of the user (first: a.jsonl:2); 1 without turns (first: b.jsonl:3)\n",
  );
});

test("without it the data is refused", async () => {
  const { recipe } = await recipeOf("refuse");
  await expect(prepareConversations(recipe)).rejects.toThrow(/a\.jsonl:2: expected turn 1 to be of the assistant/);
});
