/**
 * What a model says, without what it thinks: answers of reasoning models begin with their reasoning, between marks of
 * their templates. The answer is what follows the last closing mark. Where the reasoning was opened and never closed,
 * because the answer was cut, there is no answer: a letter or a number in a thought is not what the model says.
 */
import type { BenchmarkOption, BenchmarkSettings } from "./benchmarks/benchmark.ts";

/** Marks of published templates; templates may write the opening one, so an answer can have the closing one alone. */
const MARKS: readonly (readonly [open: string, close: string])[] = [
  // DeepSeek-R1, Qwen3, GLM and most others.
  ["<think>", "</think>"],
  // Magistral and Ministral.
  ["[THINK]", "[/THINK]"],
  // Cohere's Command A Reasoning.
  ["<|START_THINKING|>", "<|END_THINKING|>"],
  // Seed-OSS.
  ["<seed:think>", "</seed:think>"],
  // gpt-oss.
  ["<|channel|>analysis<|message|>", "<|channel|>final<|message|>"],
];

/** `drop`: only what follows the reasoning is read, and shown to judges. */
export type Reasoning = "drop" | "keep";

export const REASONING_OPTION: BenchmarkOption = {
  name: "reasoning",
  kind: "text",
  summary: "reasoning before answers and ratings (up to the last </think>): drop it, or keep it as a part of them",
  default: "drop",
  choices: ["drop", "keep"],
};

export function reasoningOf({ reasoning }: BenchmarkSettings): Reasoning {
  return reasoning === "keep" ? "keep" : "drop";
}

/** What follows the reasoning, or the whole text where there is none; null where the reasoning does not end. */
export function afterReasoning(text: string): string | null {
  let answer = text;
  for (const [, close] of MARKS) {
    const end = answer.lastIndexOf(close);
    if (end >= 0) answer = answer.slice(end + close.length);
  }
  const said = answer.trimStart();
  if (MARKS.some(([open]) => said.startsWith(open))) return null;
  return answer.length === text.length ? text : said;
}

/** The mark with which a prompt opens the reasoning of its answer, or nothing: such an answer begins after its mark. */
export function openedReasoning(prompt: string): string {
  const end = prompt.trimEnd();
  return MARKS.find(([open]) => end.endsWith(open))?.[0] ?? "";
}

/** What is left of a text to read or to show: nothing of one that ends within its reasoning. */
export function answerIn(text: string, reasoning: Reasoning): string {
  return reasoning === "keep" ? text : (afterReasoning(text) ?? "");
}
