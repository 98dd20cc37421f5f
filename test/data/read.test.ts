import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { type Conversation, conversationId, type Turn } from "#src/data/conversation.js";
import { readConversations, writeConversations } from "#src/data/read.js";
import { ANSWER, fileWith, linesOf, newFolder, QUESTION, refusal, SYSTEM, turnsOf } from "./files.ts";

const PIPELINE = resolve(import.meta.dirname, "../golden/pipeline");
const HINT = "such records are left out and counted with --irregular leave-out, in a recipe with data.irregular";

test("ids are the golden ones", async () => {
  const { conversations, leftOut } = await readConversations(join(PIPELINE, "conversations.jsonl"));
  const rows = (await readFile(join(PIPELINE, "rows/mistral.jsonl"), "utf8")).trim().split("\n");
  expect(conversations.map(({ id }) => id)).toEqual(rows.map((line) => JSON.parse(line).id));
  expect(leftOut).toEqual([]);
});

test("what was written reads back equal, blank lines and a byte order mark aside", async () => {
  const { conversations } = await readConversations(join(PIPELINE, "conversations.jsonl"));
  const labelled = conversations.map((one, index) =>
    index === 1 ? { ...one, skill: "x", category: "trivia", floorNats: 0.25 } : one,
  );
  const folder = await newFolder();
  const path = join(folder, "out.jsonl");
  await writeConversations(path, labelled);
  expect((await readConversations(path)).conversations).toEqual(labelled);
  expect(await readdir(folder)).toEqual(["out.jsonl"]);
  await writeFile(path, `\ufeff\n${(await readFile(path, "utf8")).replaceAll("\n", "\r\n\n")}`);
  expect((await readConversations(path)).conversations).toEqual(labelled);
});

test("everything that a turn can say is written and read back equal", async () => {
  const turns: Turn[] = [
    SYSTEM,
    { ...QUESTION, name: "Ada" },
    { role: "assistant", content: "masked", trained: false },
    QUESTION,
    { role: "assistant", content: "", toolCalls: [{ type: "function", function: { name: "clock", arguments: {} } }] },
    { role: "tool", content: "noon", name: "clock", toolCallId: "a" },
    { ...ANSWER, reasoning: "The clock says noon." },
  ];
  const tools = [{ type: "function", function: { name: "clock", parameters: { type: "object" } } }];
  const conversation: Conversation = { id: conversationId(turns, tools), turns, tools, skill: "tools", floorNats: 0 };
  const path = join(await newFolder(), "out.jsonl");
  await writeConversations(path, [conversation]);
  expect((await readConversations(path)).conversations).toEqual([conversation]);
});

test("all bad records are told at once, with file and line", async () => {
  const good = JSON.stringify({ turns: [QUESTION, ANSWER] });
  const path = await fileWith("bad.jsonl", `${good}\n{"turns": [\n${good}\n"text"\n{"turns": []}\n{"a": nan}\n`);
  expect((await refusal(path)).split("\n")).toEqual([
    `${path}:2: expected a JSON object, found "{\\"turns\\": [", which ends too early`,
    `${path}:4: expected a JSON object, found "text"`,
    `${path}:5: expected a user turn, found no turns`,
    `${path}:6: expected a JSON object, found "nan}" at character 7, which is not JSON; ${HINT}`,
  ]);
});

test("of many bad records twenty are told and the rest are counted", async () => {
  const lines = (await refusal(await fileWith("bad.jsonl", "[]\n".repeat(50)))).split("\n");
  expect(lines.length).toBe(21);
  expect(lines[20]).toBe(`and 30 more records that cannot be used; ${HINT}`);
});

test("irregular records are left out and counted by reason, with the first place of each", async () => {
  const good = { turns: [QUESTION, ANSWER] };
  const path = await fileWith(
    "some.jsonl",
    `${linesOf(good, { turns: [QUESTION, QUESTION] }, { turns: [ANSWER] }, { messages: [QUESTION, QUESTION, ANSWER] })}\n{\n${linesOf(good)}`,
  );
  expect(await readConversations(path, "leave-out")).toEqual({
    conversations: [good, good].map(({ turns }) => ({ id: conversationId(turns), turns })),
    leftOut: [
      { reason: "with a turn of the user after a turn of the user", count: 2, file: path, place: ":2" },
      { reason: "with a turn of the assistant at the start", count: 1, file: path, place: ":3" },
      { reason: "that are not JSON", count: 1, file: path, place: ":5" },
    ],
  });
});

test("twenty thousand bad records leave a line of counts behind", async () => {
  const roles = Array.from({ length: 20_000 }, (_, index) => `{"turns":[{"role":"r${index}","content":"x"}]}`);
  const path = await fileWith("bad.jsonl", `${roles.join("\n")}\n${linesOf({ turns: [QUESTION, ANSWER] })}`);
  const { conversations, leftOut } = await readConversations(path, "leave-out");
  expect(conversations.length).toBe(1);
  expect(leftOut).toEqual([{ reason: "with a speaker that is not known", count: 20_000, file: path, place: ":1" }]);
});

test("where nothing is left, the reasons are told", async () => {
  const path = await fileWith("bad.jsonl", linesOf({ turns: [ANSWER] }, { turns: [ANSWER] }));
  expect(await refusal(path, "leave-out")).toBe(
    `${path}: expected conversations, found none: 2 records are left out: 2 with a turn of the assistant at the start (first: ${path}:1)`,
  );
});

test("leaving out is for records: a container that cannot be read is an error", async () => {
  const good = JSON.stringify({ turns: [QUESTION, ANSWER] });
  expect(await refusal(await fileWith("a.json", `[${good},`), "leave-out")).toMatch(
    /expected JSON, found the end of the file$/,
  );
  expect(await refusal(await fileWith("a.parquet", "PAR1"), "leave-out")).toMatch(/expected a Parquet file/);
});

test("a conversation may end with the user after an answer", async () => {
  expect(await turnsOf(await fileWith("a.jsonl", linesOf({ turns: [QUESTION, ANSWER, QUESTION] })))).toEqual([
    [QUESTION, ANSWER, QUESTION],
  ]);
});

test("bytes that are not UTF-8 are told by line", async () => {
  const path = await fileWith("a.jsonl", Buffer.concat([Buffer.from("\n"), Buffer.from([0x22, 0xff, 0x22])]));
  expect(await refusal(path)).toBe(`${path}:2: expected UTF-8 text, found other bytes; ${HINT}`);
});
