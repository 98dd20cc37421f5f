/** What the judge is asked of two answers, and what its token's log-probabilities say. */
import { rm } from "node:fs/promises";
import { afterEach, describe, expect, test } from "vitest";
import { firstShare, type OutputPair, pairQuestions } from "#src/evaluate/benchmarks/alpaca-eval/judge-pairs.js";
import { readJudgePrompt } from "#src/evaluate/benchmarks/alpaca-eval/judge-prompt.js";
import { filesIn, JUDGE_PROMPT } from "./files.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function promptOf(content: string | Uint8Array) {
  const files = await filesIn({ prompt: content });
  folders.push(files.folder);
  return readJudgePrompt(files.prompt);
}

describe("the share of m", () => {
  test("is P(m) / (P(m) + P(M)) of what is returned", () => {
    const top = [
      { token: "M", logprob: Math.log(0.6) },
      { token: "The", logprob: Math.log(0.2) },
      { token: "m", logprob: Math.log(0.15) },
    ];
    expect(firstShare(top)).toBeCloseTo(0.2, 14);
  });

  test("does not vanish where both are improbable", () => {
    const top = [
      { token: "m", logprob: -1000 },
      { token: "M", logprob: -1000 - Math.log(3) },
    ];
    expect(firstShare(top)).toBeCloseTo(0.75, 12);
  });

  test("is all or nothing where only one of them is returned, and null where none is", () => {
    expect(firstShare([{ token: "m", logprob: -3 }])).toBe(1);
    expect(firstShare([{ token: "M", logprob: -3 }])).toBe(0);
    expect(firstShare([{ token: " m", logprob: -0.1 }])).toBeNull();
    expect(firstShare([])).toBeNull();
  });
});

describe("questions", () => {
  const pairs: OutputPair[] = Array.from({ length: 400 }, (_, i) => ({
    instruction: `Task ${i}, not {output_2}`,
    baselineOutput: `theirs ${i} $& {instruction} <|im_end|>`,
    output: `ours ${i}`,
  }));

  test("fill the prompt's own places alone, and ask for one token with five log-probabilities", async () => {
    const prompt = await promptOf(JUDGE_PROMPT);
    const [question] = pairQuestions(pairs.slice(0, 1), { prompt, bothOrders: true, seed: "0" });
    expect(question!.request).toEqual({
      messages: [
        { role: "system", content: "Judge." },
        {
          role: "user",
          content: "Task: Task 0, not {output_2}\nm: theirs 0 $& {instruction} <|im_end|>\nM: ours 0",
        },
      ],
      temperature: 1,
      maxTokens: 1,
      topLogprobs: 5,
    });
  });

  test("put either answer first about as often, by the seed and the instruction alone", async () => {
    const prompt = await promptOf(JUDGE_PROMPT);
    const ids = (seed: string, of = pairs): string[] =>
      [...pairQuestions(of, { prompt, bothOrders: false, seed })].map(({ id }) => id.split("/")[1]!);
    const modelFirst = ids("0").filter((first) => first === "model").length;
    // 400 tosses: 200, give or take 10.
    expect(Math.abs(modelFirst - 200)).toBeLessThan(40);
    expect(ids("0")).toEqual(ids("0"));
    expect(ids("0")).not.toEqual(ids("1"));
    expect(ids("0", pairs.slice(100))).toEqual(ids("0").slice(100));
  });

  test("are not asked of equal answers, nor of an empty one", async () => {
    const prompt = await promptOf(JUDGE_PROMPT);
    const settled = [
      { instruction: "a", baselineOutput: "x", output: "x" },
      { instruction: "b", baselineOutput: "x", output: " \n" },
      { instruction: "c", baselineOutput: "x", output: "y" },
    ];
    const questions = [...pairQuestions(settled, { prompt, bothOrders: true, seed: "0" })];
    expect(questions.map(({ id }) => id)).toEqual(["2/baseline", "2/model"]);
  });
});

describe("a judge prompt", () => {
  const cases: [string, string | Uint8Array, RegExp][] = [
    [
      "without messages",
      "Which is better?",
      /expected messages between <\|im_start\|> and <\|im_end\|>, found none; the file should be AlpacaEval 2\.0's judge prompt/,
    ],
    ["without a place", JUDGE_PROMPT.replace("{output_2}", "?"), /expected a place for \{output_2\}, found none/],
    [
      "of another role",
      JUDGE_PROMPT.replace("system", "tool"),
      /expected messages of system, user or assistant, found "tool"/,
    ],
    ["of other bytes than UTF-8", Uint8Array.of(0x41, 0xff), /expected UTF-8 text, found other bytes at offset 1/],
  ];
  test.each(cases)("%s is refused", async (_, content, message) => {
    await expect(promptOf(content)).rejects.toThrow(message);
  });

  test("that is not given, or not there, is told from where to get", async () => {
    const where =
      /alpaca_eval's src\/alpaca_eval\/evaluators_configs\/alpaca_eval_clf_gpt4_turbo\/alpaca_eval_clf\.txt$/;
    await expect(readJudgePrompt(undefined)).rejects.toThrow(where);
    await expect(readJudgePrompt("/nowhere/prompt.txt")).rejects.toThrow(where);
  });
});
