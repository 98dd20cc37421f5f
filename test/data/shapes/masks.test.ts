import { expect, test } from "vitest";
import { isTrained } from "#src/data/conversation.js";
import { parseRecord } from "#src/data/shapes/record.js";
import { ANSWER, QUESTION } from "../files.ts";

const read = (record: unknown): unknown => {
  const parsed = parseRecord(record);
  return "conversation" in parsed ? parsed.conversation.turns.map(isTrained) : parsed.problem.reason;
};

const TRAINED = [
  ...["weight", "train", "training", "trainable", "loss", "loss_mask", "loss_weight", "loss_scale"],
  ...["train_mask", "compute_loss", "output_with_loss"],
];
const MASKED = ["masked", "is_masked", "ignore_loss"];

test.each(TRAINED)("%s: 0 or false makes an answer context", (key) => {
  for (const [off, on] of [[0, 1] as const, [false, true] as const]) {
    const messages = [QUESTION, { ...ANSWER, [key]: off }, { ...QUESTION, [key]: off }, { ...ANSWER, [key]: on }];
    expect(read({ messages })).toEqual([false, false, false, true]);
    expect(read({ messages: [QUESTION, { ...ANSWER, [key]: off }] })).toBe("without an answer to train on");
    expect(read({ messages: [QUESTION, ANSWER], [key]: off })).toBe("that say they are not to be trained on");
    expect(read({ messages: [QUESTION, ANSWER], [key]: on })).toEqual([false, true]);
  }
  expect(read({ messages: [QUESTION, { ...ANSWER, [key]: null }] })).toEqual([false, true]);
  expect(read({ messages: [{ ...QUESTION, [key]: 1 }, ANSWER] })).toBe("that ask to train on another's turn");
});

test.each(MASKED)("%s: 1 or true makes an answer context", (key) => {
  expect(read({ messages: [QUESTION, { ...ANSWER, [key]: true }, QUESTION, { ...ANSWER, [key]: false }] })).toEqual([
    ...[false, false, false, true],
  ]);
  expect(read({ messages: [QUESTION, ANSWER], [key]: 1 })).toBe("that say they are not to be trained on");
});

test.each<[unknown]>([[0.5], [2], [-1], ["0"], ["no"], [[]], [{}]])("a weight of %j is refused", (weight) => {
  const reason = "with a mask that is neither 0 nor 1";
  expect(read({ messages: [QUESTION, { ...ANSWER, weight }] })).toBe(reason);
  expect(read({ messages: [{ ...QUESTION, weight }, ANSWER] })).toBe(reason);
});

test("masks of a whole record have one value a turn", () => {
  const messages = [QUESTION, ANSWER, QUESTION, ANSWER];
  expect(read({ messages, loss_mask: [0, 0, 0, 1] })).toEqual([false, false, false, true]);
  expect(read({ messages, masked: [true, true, true, false] })).toEqual([false, false, false, true]);
  expect(read({ data: ["a", "b", "c", "d"], weights: [0, 1, 0, 0] })).toEqual([false, true, false, false]);
  expect(read({ messages, loss_mask: [0, 1] })).toBe("with masks that are not one a turn");
  expect(read({ messages, loss_mask: [1, 1, 1, 1] })).toBe("that ask to train on another's turn");
  expect(read({ messages, weights: [0, 0.5, 0, 1] })).toBe("with a mask that is neither 0 nor 1");
  expect(read({ messages, loss_mask: [0, 1, 0, 1], weights: [0, 0, 0, 1] })).toBe("with masks that disagree");
});

test("masks that disagree, that can mean both, or that mask a part of a turn are refused", () => {
  expect(read({ messages: [QUESTION, { ...ANSWER, weight: 1, train: false }] })).toBe("with masks that disagree");
  expect(read({ messages: [QUESTION, { ...ANSWER, mask: 1 }] })).toBe("with a mask that can mean both");
  expect(read({ messages: [QUESTION, ANSWER], mask: "Assistant" })).toBe("with a mask that can mean both");
  expect(read({ messages: [QUESTION, ANSWER], mask: "User" })).toEqual([false, true]);
  const detail = [{ begin_offset: 0, end_offset: 1, train: false }];
  expect(read({ messages: [QUESTION, { ...ANSWER, train_detail: detail }] })).toBe(
    "with a turn that is masked in part",
  );
  const content = [
    { type: "text", text: "a", train: false },
    { type: "text", text: "b" },
  ];
  expect(read({ messages: [QUESTION, { role: "assistant", content }] })).toBe("with a turn that is masked in part");
});

test.each(["label", "kto_tag", "desirable", "is_desirable"])("an answer of %s false is never trained", (key) => {
  for (const bad of [false, 0, "False", "0"]) {
    expect(read({ prompt: "q", completion: "a", [key]: bad })).toBe("that say they are not to be trained on");
  }
  for (const good of [true, 1, "true", null]) {
    expect(read({ prompt: "q", completion: "a", [key]: good })).toEqual([false, true]);
  }
  expect(read({ prompt: "q", completion: "a", [key]: "bad" })).toBe("with a label that is neither true nor false");
});

test("chosen and rejected as yes or no are verdicts", () => {
  expect(read({ messages: [QUESTION, ANSWER], chosen: false })).toBe("that say they are not to be trained on");
  expect(read({ messages: [QUESTION, ANSWER], rejected: true })).toBe("that say they are not to be trained on");
  expect(read({ messages: [QUESTION, ANSWER], chosen: true, rejected: false })).toEqual([false, true]);
});

test("a record that asks for a training that there is not is refused", () => {
  expect(read({ messages: [QUESTION, ANSWER], train_on_inputs: true })).toBe("that ask for a training of their own");
  expect(read({ messages: [QUESTION, ANSWER], train_on_inputs: false })).toEqual([false, true]);
});

test("a measured loss is a figure of the record", () => {
  expect(read({ messages: [QUESTION, ANSWER], loss: 1.73, score: 0 })).toEqual([false, true]);
});
