/** The model's answers: temperatures by category, and the second turn asked with the first answer. */

import { rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { generateAnswers } from "#src/evaluate/benchmarks/mt-bench/generate.js";
import { type Question, readQuestions } from "#src/evaluate/benchmarks/mt-bench/questions.js";
import type { Answer, AnswerSettings, Dialogue, Subject } from "#src/evaluate/subjects/subject.js";
import { filesIn, QUESTIONS } from "./files.ts";

interface Asked {
  readonly dialogues: readonly Dialogue[];
  readonly settings: AnswerSettings;
}

function subjectOf(say: (dialogue: Dialogue) => Answer): { subject: Subject; asked: Asked[] } {
  const asked: Asked[] = [];
  return {
    asked,
    subject: {
      name: "fake",
      identity: "fake",
      answer: async (dialogues, settings) => {
        asked.push({ dialogues, settings });
        return dialogues.map(say);
      },
      dispose: async () => {},
    },
  };
}

async function questionsOf(records: readonly unknown[]): Promise<Question[]> {
  const { questions, folder } = await filesIn({ questions: records });
  return readQuestions(questions).finally(() => rm(folder, { recursive: true, force: true }));
}

const settings = { maxTokens: 1024, seed: "s" };

test("the second turn is asked with the first answer, whatever that is", async () => {
  const { subject, asked } = subjectOf(({ id }) => ({ text: `<${id}>`, finish: "stop" }));
  const questions = await questionsOf(QUESTIONS);
  const { model, answers, cut, refused } = await generateAnswers(subject, questions, settings, undefined);
  expect([model, cut, refused]).toEqual(["fake", 0, 0]);
  expect([...answers]).toEqual([
    [1, ["<1/1>", "<1/2>"]],
    [2, ["<2/1>", "<2/2>"]],
    [3, ["<3/1>", "<3/2>"]],
    [4, ["<4/1>", "<4/2>"]],
  ]);
  const dialogues = asked.flatMap((one) => one.dialogues);
  expect(dialogues.find(({ id }) => id === "3/2")!.turns).toEqual([
    { role: "user", content: "Why is ice light?" },
    { role: "assistant", content: "<3/1>" },
    { role: "user", content: "And snow?" },
  ]);
});

test("each category has FastChat's temperature, a question's own comes first, and equal ones are asked together", async () => {
  const categories = ["writing", "roleplay", "extraction", "math", "coding", "reasoning", "stem", "humanities"];
  const records = [...categories, "arena-hard-200", "gardening"].map((category, index) => ({
    question_id: index,
    category,
    turns: ["a", "b"],
  }));
  const questions = await questionsOf([...records, { ...records[0], question_id: 99, required_temperature: 0.25 }]);
  expect(questions.map(({ temperature }) => temperature)).toEqual([0.7, 0.7, 0, 0, 0, 0, 0.1, 0.1, 0, 0.7, 0.25]);
  const { subject, asked } = subjectOf(() => ({ text: "x", finish: "stop" }));
  await generateAnswers(subject, questions, settings, undefined);
  expect(asked.map(({ settings: { temperature }, dialogues }) => [temperature, dialogues.length])).toEqual(
    [1, 2].flatMap(() => [
      [0.7, 3],
      [0, 5],
      [0.1, 2],
      [0.25, 1],
    ]),
  );
  expect(asked[0]!.settings).toEqual({ temperature: 0.7, maxTokens: 1024, seed: "s" });
  const ids = asked.flatMap(({ dialogues }) => dialogues.map(({ id }) => id));
  expect(new Set(ids).size).toBe(22);
});

test("answers that are cut and dialogues that the template refuses are counted", async () => {
  const { subject } = subjectOf(({ id }) => {
    if (id.startsWith("2/")) return { text: "", finish: "refused" };
    return { text: "x", finish: id === "1/2" ? "length" : "stop" };
  });
  const questions = await questionsOf(QUESTIONS);
  expect(await generateAnswers(subject, questions, settings, undefined)).toMatchObject({ cut: 1, refused: 1 });
});
