import { expect, test } from "vitest";
import { isTrained } from "#src/data/conversation.js";
import { parseRecord } from "#src/data/shapes/record.js";
import { ANSWER, QUESTION } from "../files.ts";

const read = (record: unknown) => {
  const parsed = parseRecord(record);
  return "conversation" in parsed ? parsed.conversation : parsed.problem;
};

const CALL = { name: "clock", arguments: { city: "Rome" } };
const CALLS = [{ type: "function", function: CALL }];
const TURNS = [
  QUESTION,
  { role: "assistant", content: "", toolCalls: CALLS },
  { role: "tool", content: "noon" },
  ANSWER,
];
const TOOLS = [{ type: "function", function: { name: "clock" } }];

test.each<[string, unknown]>([
  ["OpenAI's tool calls", [QUESTION, { role: "assistant", content: null, tool_calls: CALLS }, TURNS[2], ANSWER]],
  ["older function calls", [QUESTION, { role: "assistant", content: "", function_call: CALL }, TURNS[2], ANSWER]],
  [
    "turns of calls and observations",
    [
      { from: "human", value: QUESTION.content },
      { from: "function_call", value: JSON.stringify(CALL) },
      { from: "observation", value: "noon" },
      { from: "gpt", value: ANSWER.content },
    ],
  ],
])("%s are context", (_, messages) => {
  const conversation = read({ messages, tools: TOOLS });
  expect(conversation).toMatchObject({ turns: TURNS, tools: TOOLS });
  expect("turns" in conversation && conversation.turns.map(isTrained)).toEqual([false, false, false, true]);
});

test("calls made at once, a turn each, are one turn", () => {
  const call = { role: "tool_call", content: JSON.stringify(CALL) };
  const response = { role: "tool_response", content: "noon" };
  expect(read({ messages: [QUESTION, call, call, response, response, ANSWER] })).toMatchObject({
    turns: [QUESTION, { ...TURNS[1], toolCalls: [...CALLS, ...CALLS] }, TURNS[2], TURNS[2], ANSWER],
  });
});

test("tools are a list or its JSON, or the functions of older files", () => {
  const messages = [QUESTION, ANSWER];
  for (const more of [{ tools: TOOLS }, { tools: JSON.stringify(TOOLS) }, { functions: [{ name: "clock" }] }]) {
    expect(read({ messages, ...more })).toMatchObject({ tools: TOOLS });
  }
  for (const none of [null, "", "[]", []]) expect(read({ messages, tools: none })).not.toHaveProperty("tools");
});

test("a tool's turn keeps its name and the call that it answers", () => {
  const tool = { role: "tool", content: "noon", name: "clock", tool_call_id: "a" };
  const messages = [QUESTION, { role: "assistant", tool_calls: CALLS }, tool, ANSWER];
  expect(read({ messages })).toMatchObject({
    turns: [QUESTION, TURNS[1], { role: "tool", content: "noon", name: "clock", toolCallId: "a" }, ANSWER],
  });
});

const deep = (levels: number): unknown => JSON.parse(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`);

test.each<[string, Record<string, unknown>, string]>([
  [
    "calls alone",
    { messages: TURNS.slice(0, 1).concat({ role: "assistant", tool_calls: CALLS } as never) },
    "nothing but tool calls, which give no rows",
  ],
  [
    "a call that is not JSON",
    { messages: [QUESTION, { role: "function_call", content: "clock()" }] },
    'expected messages[1].content to be a list of JSON objects, found "clock()"',
  ],
  [
    "calls of the user",
    { messages: [{ ...QUESTION, tool_calls: CALLS }, ANSWER] },
    "messages[0] has tool calls, and is no assistant's",
  ],
  [
    "tools in a turn",
    { messages: [{ ...QUESTION, tools: TOOLS }, ANSWER] },
    "messages[0].tools: tools stand beside the turns",
  ],
  [
    "tools that are no list",
    { messages: [QUESTION, ANSWER], tools: "clock" },
    'expected tools to be a list of JSON objects, found "clock"',
  ],
  [
    "tools nested too deep",
    { messages: [QUESTION, ANSWER], tools: [deep(100_000)] },
    "tools is nested deeper than 64 levels",
  ],
  [
    "half characters in tools",
    { messages: [QUESTION, ANSWER], tools: [{ name: "\ud800" }] },
    "tools has half of a surrogate pair",
  ],
  [
    "a tool after a plain answer",
    { messages: [QUESTION, ANSWER, TURNS[2], ANSWER] },
    "expected turn 2 to be of the user, found tool",
  ],
  [
    "an answer right after calls",
    { messages: [QUESTION, { role: "assistant", tool_calls: CALLS }, ANSWER] },
    "expected turn 2 to be of the tool or user, found assistant",
  ],
])("%s are refused", (_, record, sentence) => {
  expect(read(record)).toMatchObject({ sentence: expect.stringContaining(sentence) });
});
