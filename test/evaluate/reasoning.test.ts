import { expect, test } from "vitest";
import { afterReasoning, answerIn, openedReasoning } from "#src/evaluate/reasoning.js";

test.each([
  ["<think>\na\n</think>\n\nB", "B"],
  // The opening mark was a part of the prompt.
  ["a\n</think>\n\nB", "B"],
  ["<think>a</think>b<think>c</think> d", "d"],
  ["[THINK]a[/THINK]B", "B"],
  ["<|START_THINKING|>a<|END_THINKING|>B", "B"],
  ["<seed:think>a</seed:think>B", "B"],
  ["<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>B", "B"],
  [" B\n", " B\n"],
  ["Write <think> before it.", "Write <think> before it."],
  ["<think></think>", ""],
])("of %j the answer is %j", (text, answer) => {
  expect(afterReasoning(text)).toBe(answer);
});

test("reasoning that does not end has no answer behind it, whatever it says", () => {
  expect(afterReasoning("<think>\nThe answer is B")).toBe(null);
  expect(afterReasoning("<think>a</think>\n<think>b")).toBe(null);
  expect(answerIn("<think>B", "drop")).toBe("");
  expect(answerIn("<think>B", "keep")).toBe("<think>B");
});

test("a prompt that opens the reasoning gives its answer the mark, others give none", () => {
  expect(openedReasoning("<|im_start|>assistant\n<think>\n")).toBe("<think>");
  expect(openedReasoning("<|START_OF_TURN_TOKEN|><|START_THINKING|>")).toBe("<|START_THINKING|>");
  expect(openedReasoning("<|im_start|>assistant\n<think>\n\n</think>\n\n")).toBe("");
  expect(openedReasoning("say <think> and go on")).toBe("");
});
