import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
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
  expect(plan.conversations).toEqual({ train: 3, prompts: null, held_out: 1, overlapping: 0, left_out: LEFT_OUT });
  expect(planTable(plan)).toContain(
    "4 records are left out: 3 with a turn of the user after a turn of the user (first: a.jsonl:2); 1 without turns (first: b.jsonl:3)\n",
  );
});

test("without it the data is refused", async () => {
  const { recipe } = await recipeOf("refuse");
  await expect(prepareConversations(recipe)).rejects.toThrow(/a\.jsonl:2: expected turn 1 to be of the assistant/);
});

describe("where models answer", () => {
  async function answering(heldOut: string, answers = "{ per_prompt: 2 }", path = "asked.jsonl") {
    const folder = await newFolder();
    await writeFile(join(folder, "asked.jsonl"), linesOf({ question: "1 + 1" }, good("a"), { question: "1 + 1" }));
    await writeFile(
      join(folder, "many.jsonl"),
      linesOf(...Array.from({ length: 20 }, (_, n) => ({ question: `1 + ${n}` }))),
    );
    await writeFile(join(folder, "held.jsonl"), linesOf(good("d")));
    const text = `pivot: ${MISTRAL}\nsources: [${QWEN2}]\ndata: { path: ${path}, ${heldOut}, answers: ${answers} }\n`;
    return loadRecipe(await writeRecipe(folder, text));
  }

  test("questions need no answer, and the plan counts what may come of them", async () => {
    const { recipe, where } = await answering("held_out_path: held.jsonl");
    const { prompts, train } = await prepareConversations(recipe);
    // Two answers of one source each.
    expect([prompts?.length, train.length]).toEqual([3, 6]);
    const plan = derivePlan(recipe, await openInputs(recipe, where), { throughput: assumedThroughput(1) });
    expect(plan.stages[0]).toMatchObject({ stage: "answers", fits: true });
    expect(planTable(plan)).toContain(
      "3 prompts, 6 answers of at most 1,024 tokens by qwen2; at most 6 conversations to train on",
    );
  });

  test("held-out questions need an answer", async () => {
    const { recipe } = await answering("held_out: 0.5", "{}", "many.jsonl");
    await expect(prepareConversations(recipe)).rejects.toThrow(
      /held-out conversation \d is a question without an answer/,
    );
  });

  test.each([
    ["{ from: [mistral, nobody] }", 'no model is called "nobody"; there are mistral, qwen2'],
    ["{ temperature: 0 }", "at temperature 0 all 5 answers are the same"],
    ["{ select: reward }", "reward needs the server of a reward model"],
    ['{ reward_url: "http://127.0.0.1:1" }', "belongs to select: reward"],
    ["{ select: rule, rule: regex }", "the rule regex and a pattern belong together"],
    ["{ select: best }", "select"],
  ])("%s: one sentence", async (answers, sentence) => {
    await expect(answering("held_out_path: held.jsonl", answers)).rejects.toThrow(sentence);
  });
});
