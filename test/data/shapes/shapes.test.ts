import { expect, test } from "vitest";
import { SHAPES } from "#src/data/shapes/index.js";
import { parseRecord } from "#src/data/shapes/record.js";
import { describe } from "#src/data/shapes/values.js";
import { ANSWER, QUESTION, SYSTEM } from "../files.ts";

const turnsOf = (record: unknown): unknown => {
  const parsed = parseRecord(record);
  return "conversation" in parsed ? parsed.conversation.turns : parsed.problem;
};

const said = { from: "human", value: QUESTION.content };
const answered = { from: "gpt", value: ANSWER.content };
const Q = QUESTION.content;
const A = ANSWER.content;

test("a value is told by its first forty characters as JSON spells it, however long it is", () => {
  expect(describe("x".repeat(38))).toBe(`"${"x".repeat(38)}"`);
  expect(describe("x".repeat(39))).toBe(`"${"x".repeat(39)}…`);
  expect(describe('"'.repeat(1e6))).toBe(`"${'\\"'.repeat(19)}\\…`);
  const names = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`${n}${"y".repeat(n)}`, 1]));
  expect(turnsOf(names)).toMatchObject({
    sentence: expect.stringMatching(/found the keys "0, 1y, 2yy, 3yyy, .{21}…$/),
  });
});

test.each<[string, unknown]>([
  ["turns", { turns: [QUESTION, ANSWER] }],
  ["messages", { messages: [QUESTION, ANSWER], id: 7, source: "x", score: 0.5, prompt: Q }],
  ["messages with from and value", { messages: [said, answered] }],
  ["messages as JSON text", { messages: JSON.stringify([QUESTION, ANSWER]) }],
  ["messages as columns", { messages: { role: ["user", "assistant"], content: [Q, A] } }],
  ["messages beside a number of turns", { messages: [QUESTION, ANSWER], turns: 1 }],
  ["conversations", { conversations: [said, answered] }],
  ["conversations with role and content", { conversations: [QUESTION, ANSWER] }],
  ["conversation", { conversation: [QUESTION, ANSWER], turn: 1 }],
  ["rounds of input and output", { conversation: [{ input: Q, output: A }] }],
  ["rounds of human and assistant", { conversation: [{ human: Q, assistant: A }] }],
  ["items", { items: [QUESTION, ANSWER] }],
  ["instruction", { instruction: Q, input: "", output: A }],
  ["instruction beside a composed prompt", { instruction: Q, output: A, prompt: `### Instruction: ${Q}` }],
  ["instruction with response", { instruction: Q, context: "", response: A, category: "qa" }],
  ["data", { id: "0", data: [Q, A] }],
  ["prompt and completion", { prompt: Q, completion: A }],
  ["prompt and response", { prompt: Q, response: A }],
  ["prompt and completion as messages", { prompt: [QUESTION], completion: [ANSWER] }],
  ["question and answer", { question: Q, answer: A }],
  ["query and response", { query: Q, response: A, history: [] }],
  ["input and output", { input: Q, output: A }],
  ["chosen and rejected texts", { prompt: Q, chosen: A, rejected: "No" }],
  ["chosen and rejected messages", { prompt: [QUESTION], chosen: [ANSWER], rejected: [QUESTION] }],
  ["chosen and rejected conversations", { prompt: Q, chosen: [QUESTION, ANSWER], rejected: [QUESTION] }],
  ["chosen beside the whole conversation", { messages: [QUESTION, ANSWER], chosen: [QUESTION, ANSWER] }],
  ["chosen message after a conversation", { conversations: [said], chosen: answered, rejected: said }],
  ["chosen after an instruction", { instruction: Q, input: "", chosen: A, rejected: "No" }],
  ["a rejected answer beside messages", { messages: [QUESTION, ANSWER], rejected_response: "No" }],
  ["preferred output", { input: { messages: [QUESTION] }, preferred_output: [ANSWER], non_preferred_output: [] }],
])("%s are read", (_, record) => {
  expect(turnsOf(record)).toEqual([QUESTION, ANSWER]);
});

test("every shape is among those that are read here", () => {
  expect(SHAPES.map(({ keys }) => keys.join(", "))).toEqual([
    ...["chosen, chosen_response, preferred_output", "turns", "messages", "conversations", "conversation"],
    ...["conversation", "items", "instruction", "data", "prompt, question, query", "input"],
  ]);
});

test.each(["human", "Human", "USER", "prompter"])("%s speaks for the user", (role) => {
  expect(turnsOf({ messages: [{ role, content: Q }, ANSWER] })).toEqual([QUESTION, ANSWER]);
});

test.each(["gpt", "chatgpt", "bing", "bard", "model", "bot", "GPT", "ai"])("%s speaks for the assistant", (from) => {
  expect(turnsOf({ conversations: [said, { from, value: A }] })).toEqual([QUESTION, ANSWER]);
});

test("an input follows the instruction after an empty line", () => {
  expect(turnsOf({ instruction: "Add.", input: "1, 2", output: "3" })).toEqual([
    { role: "user", content: "Add.\n\n1, 2" },
    { role: "assistant", content: "3" },
  ]);
});

test("a history goes before the question", () => {
  const first = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello" },
  ];
  expect(turnsOf({ instruction: Q, output: A, history: [["Hi", "Hello"]] })).toEqual([...first, QUESTION, ANSWER]);
  expect(turnsOf({ query: Q, response: A, history: [["Hi", "Hello"]] })).toEqual([...first, QUESTION, ANSWER]);
});

test("answers within a prompt are context", () => {
  const before = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello" },
  ];
  const context = [before[0], { ...before[1], trained: false }, QUESTION, ANSWER];
  expect(turnsOf({ prompt: [...before, QUESTION], completion: [ANSWER] })).toEqual(context);
  expect(turnsOf({ messages: [...before, QUESTION], chosen: A, rejected: "No" })).toEqual(context);
});

test.each(["system", "system_prompt", "system_message"])("%s beside the turns is their system turn", (key) => {
  const all = [SYSTEM, QUESTION, ANSWER];
  expect(turnsOf({ messages: [QUESTION, ANSWER], [key]: SYSTEM.content })).toEqual(all);
  expect(turnsOf({ messages: all, [key]: SYSTEM.content })).toEqual(all);
  expect(turnsOf({ instruction: Q, output: A, [key]: SYSTEM.content })).toEqual(all);
  expect(turnsOf({ question: Q, response: A, [key]: SYSTEM.content })).toEqual(all);
  expect(turnsOf({ data: [Q, A], [key]: "" })).toEqual([QUESTION, ANSWER]);
  expect(turnsOf({ messages: all, [key]: "Be long." })).toMatchObject({ reason: "with two system texts that differ" });
});

test("content in parts of text is one text", () => {
  const parts = [
    { type: "text", text: "Is water " },
    { type: "text", text: "wet?", image: null },
  ];
  expect(turnsOf({ messages: [{ role: "user", content: parts }, ANSWER] })).toEqual([QUESTION, ANSWER]);
  expect(turnsOf({ messages: [{ role: "user", content: ["Is water ", "wet?"] }, ANSWER] })).toEqual([QUESTION, ANSWER]);
  const image = { type: "image_url", image_url: { url: "x" } };
  expect(turnsOf({ messages: [{ role: "user", content: [...parts, image] }, ANSWER] })).toEqual({
    reason: "with content that is not text",
    sentence: 'expected messages[0].content[2] to be a part of text, found one of type "image_url"',
  });
});

test.each(["reasoning_content", "reasoning", "thinking"])("%s is the reasoning of its turn", (key) => {
  const thought = { ...ANSWER, reasoning: "Wet means covered with water." };
  expect(turnsOf({ messages: [QUESTION, { ...ANSWER, [key]: thought.reasoning }] })).toEqual([QUESTION, thought]);
  expect(turnsOf({ messages: [QUESTION, ANSWER], [key]: thought.reasoning })).toEqual([QUESTION, thought]);
  expect(turnsOf({ question: Q, answer: A, [key]: thought.reasoning })).toEqual([QUESTION, thought]);
  expect(turnsOf({ messages: [{ ...QUESTION, [key]: "Hm." }, ANSWER] })).toMatchObject({
    reason: "with a part that would be lost",
  });
  expect(turnsOf({ messages: [QUESTION, ANSWER, QUESTION, ANSWER], [key]: "Hm." })).toMatchObject({
    reason: "with reasoning beside several answers",
  });
});

test("parts of thinking are the reasoning of their turn", () => {
  const content = [
    { type: "thinking", thinking: "Hm." },
    { type: "text", text: A },
  ];
  expect(turnsOf({ messages: [QUESTION, { role: "assistant", content }] })).toEqual([
    QUESTION,
    { ...ANSWER, reasoning: "Hm." },
  ]);
});

test.each<[unknown, RegExp]>([
  [{ turns: [SYSTEM] }, /^expected a user turn, found nothing but a system turn$/],
  [{ turns: [ANSWER, QUESTION] }, /^expected turn 0 to be of the user, found assistant$/],
  [{ turns: [QUESTION, QUESTION] }, /^expected turn 1 to be of the assistant, found user$/],
  [{ turns: [QUESTION, ANSWER, SYSTEM] }, /^expected turn 2 to be of the user, found system$/],
  [{ turns: [QUESTION, ANSWER, { role: "tool", content: "x" }] }, /turn 2 to be of the user, found tool$/],
  [{ turns: [QUESTION] }, /^expected an answer to train on, found no turn of the assistant$/],
  [
    { turns: [{ role: "constructor", content: "x" }] },
    /^expected turns\[0\]\.role to be one of .* found "constructor"$/,
  ],
  [{ turns: [{ role: "user", content: null }] }, /^expected turns\[0\]\.content to be a text, found nothing$/],
  [{ turns: [{ role: "user", content: "a", value: "b" }] }, /turns\[0\]: content and value differ/],
  [{ turns: [{ role: "user", from: "gpt", content: "a" }] }, /turns\[0\]: role and from differ/],
  [{ turns: "text" }, /^expected turns to be a list, found "text"$/],
  [{ turns: [1] }, /^expected turns\[0\] to be an object, found 1$/],
  [{ text: "x" }, /^expected one of chosen, .*, turns, messages, .*, found the keys "text"$/],
  [{ instruction: "x" }, /^expected output to be a text, found nothing$/],
  [{ instruction: "x", output: "y", history: [["a"]] }, /^expected history\[0\] to be a question and its answer/],
  [{ messages: [QUESTION, ANSWER], history: [["a", "b"]] }, /^history: it stands beside a list of turns/],
  [{ messages: [QUESTION, ANSWER], instruction: "Rhyme." }, /^instruction: it stands beside a list of turns/],
  [{ messages: [QUESTION, ANSWER, QUESTION], response: "y" }, /^response: the turns beside it end with a question/],
  [{ question: "x", answer: "y", context: "z" }, /^context: it stands beside question/],
  [{ question: "x", answer: "y", response: "z" }, /^response and answer differ|^answer and response differ/],
  [{ prompt: "x", question: "y", answer: "z" }, /^prompt and question differ/],
  [
    { chosen: "\n\nHuman: a\n\nAssistant: b", rejected: "x" },
    /^expected a prompt, a question or messages beside chosen/,
  ],
  [{ prompt: "x", chosen: [QUESTION, ANSWER] }, /the prompt beside it is another/],
  [{ prompt: "x", chosen: 1, rejected: 0 }, /^expected chosen to be a text, a message or a list of messages, found 1$/],
  [{ prompt: "x", rejected: "y" }, /^expected completion to be a text, found nothing$/],
  [{ messages: [{ ...QUESTION, images: ["x"] }, ANSWER] }, /^messages\[0\]\.images: it cannot be shown/],
  [{ messages: [QUESTION, ANSWER], images: ["a.png"] }, /^images: it cannot be shown/],
  [{ messages: [QUESTION, ANSWER], chat_template_kwargs: { a: 1 } }, /^chat_template_kwargs: it cannot be shown/],
  [{ turns: [QUESTION, ANSWER], skill: 3 }, /^expected skill to be a text, found 3$/],
  [{ turns: [QUESTION, ANSWER], floor_nats: -1 }, /^expected floor_nats to be a number of 0 to 1000000000, found -1$/],
  [{ turns: [{ role: "user", content: "\ud800" }] }, /^turns\[0\]\.content has half of a surrogate pair/],
])("%j is refused with its reason", (record, message) => {
  expect(turnsOf(record)).toMatchObject({ sentence: expect.stringMatching(message) });
});
