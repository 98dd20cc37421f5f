import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parquetWriteFile } from "hyparquet-writer";
import { expect, test } from "vitest";
import { conversationId } from "#src/data/conversation.js";
import { readConversations, writeConversations } from "#src/data/read.js";
import { FusechatError } from "#src/errors.js";

const PIPELINE = resolve(import.meta.dirname, "../golden/pipeline");

async function fileWith(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), "fusechat-read-")), name);
  await writeFile(path, content);
  return path;
}

const linesOf = (...records: unknown[]) => records.map((record) => JSON.stringify(record)).join("\n");

const refusal = async (path: string): Promise<FusechatError> => {
  const error = await readConversations(path).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(FusechatError);
  expect((error as FusechatError).exitCode).toBe(2);
  return error as FusechatError;
};

const problemOf = async (record: unknown) => (await refusal(await fileWith("a.jsonl", linesOf(record)))).message;

const QUESTION = { role: "user", content: "Is water wet?" } as const;
const ANSWER = { role: "assistant", content: "Yes" } as const;
const SYSTEM = { role: "system", content: "Be brief." } as const;

test("ids are the golden ones", async () => {
  const conversations = await readConversations(join(PIPELINE, "conversations.jsonl"));
  const rows = (await readFile(join(PIPELINE, "rows/mistral.jsonl"), "utf8")).trim().split("\n");
  expect(conversations.map(({ id }) => id)).toEqual(rows.map((line) => JSON.parse(line).id));
});

test("every shape reads as the same turns", async () => {
  const turns = [SYSTEM, QUESTION, ANSWER];
  const path = await fileWith(
    "all.jsonl",
    linesOf(
      { turns, skill: "facts", floor_nats: 1.5 },
      { messages: turns, id: "kept out", instruction: "Is water wet?", input: "", output: "Yes" },
      {
        conversations: [
          { from: "system", value: "Be brief." },
          { from: "human", value: "Is water wet?" },
          { from: "gpt", value: "Yes" },
        ],
      },
      {
        system: "Be brief.",
        conversations: [
          { from: "human", value: "Is water wet?" },
          { from: "gpt", value: "Yes" },
        ],
      },
      { instruction: "Is water wet?", input: "", output: "Yes", system: "Be brief." },
    ),
  );
  const conversations = await readConversations(path);
  expect(conversations.map((conversation) => conversation.turns)).toEqual(conversations.map(() => turns));
  expect(conversations[0]).toEqual({ id: conversationId(turns), turns, skill: "facts", floorNats: 1.5 });
  expect(conversations[1]).toEqual({ id: conversationId(turns), turns });
});

test("an Alpaca input follows the instruction after an empty line", async () => {
  const [conversation] = await readConversations(
    await fileWith("a.json", JSON.stringify([{ instruction: "Add.", input: "1, 2", output: "3" }])),
  );
  expect(conversation?.turns).toEqual([
    { role: "user", content: "Add.\n\n1, 2" },
    { role: "assistant", content: "3" },
  ]);
});

test("a conversation may end with the user", async () => {
  const [conversation] = await readConversations(await fileWith("a.jsonl", linesOf({ turns: [QUESTION] })));
  expect(conversation?.turns).toEqual([QUESTION]);
});

test("Parquet rows of nested lists read like JSON", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-read-"));
  const path = join(folder, "data.parquet");
  parquetWriteFile({
    filename: path,
    columnData: [
      {
        name: "messages",
        data: [
          [QUESTION, ANSWER],
          [SYSTEM, QUESTION, ANSWER],
        ],
        type: "JSON",
      },
      { name: "skill", data: ["facts", null], type: "STRING" },
    ],
  });
  const conversations = await readConversations(path);
  expect(conversations.map(({ turns, skill }) => [turns, skill])).toEqual([
    [[QUESTION, ANSWER], "facts"],
    [[SYSTEM, QUESTION, ANSWER], undefined],
  ]);
});

test("Parquet columns of instructions read as Alpaca", async () => {
  const path = join(await mkdtemp(join(tmpdir(), "fusechat-read-")), "data.parquet");
  parquetWriteFile({
    filename: path,
    columnData: [
      { name: "instruction", data: ["Is water wet?"], type: "STRING" },
      { name: "input", data: [null], type: "STRING" },
      { name: "output", data: ["Yes"], type: "STRING" },
    ],
  });
  expect((await readConversations(path))[0]?.turns).toEqual([QUESTION, ANSWER]);
});

test("what was written reads back equal, blank lines and a byte order mark aside", async () => {
  const conversations = await readConversations(join(PIPELINE, "conversations.jsonl"));
  const labelled = conversations.map((one, index) => (index === 1 ? { ...one, skill: "x", floorNats: 0.25 } : one));
  const folder = await mkdtemp(join(tmpdir(), "fusechat-read-"));
  const path = join(folder, "out.jsonl");
  await writeConversations(path, labelled);
  expect(await readConversations(path)).toEqual(labelled);
  expect(await readdir(folder)).toEqual(["out.jsonl"]);
  await writeFile(path, `\ufeff\n${(await readFile(path, "utf8")).replaceAll("\n", "\r\n\n")}`);
  expect(await readConversations(path)).toEqual(labelled);
});

test("all bad lines are told at once, with file and line", async () => {
  const good = JSON.stringify({ turns: [QUESTION, ANSWER] });
  const path = await fileWith("bad.jsonl", `${good}\n{"turns": [\n${good}\n"text"\n{"turns": []}\n`);
  expect((await refusal(path)).message.split("\n")).toEqual([
    `${path}:2: expected a JSON object, found "{\\"turns\\": [", which is not JSON`,
    `${path}:4: expected a JSON object, found "text"`,
    `${path}:5: expected a user turn, found no turns`,
  ]);
});

test("of many bad lines twenty are told and the rest are counted", async () => {
  const lines = (await refusal(await fileWith("bad.jsonl", "[]\n".repeat(50)))).message.split("\n");
  expect(lines.length).toBe(21);
  expect(lines[20]).toBe("and 30 more lines of this kind");
});

test.each([
  [{ turns: [SYSTEM] }, /expected a user turn, found nothing but a system turn$/],
  [{ turns: [ANSWER, QUESTION] }, /expected turn 0 to be of the user, found assistant$/],
  [{ turns: [QUESTION, QUESTION] }, /expected turn 1 to be of the assistant, found user$/],
  [{ turns: [QUESTION, ANSWER, SYSTEM] }, /expected turn 2 to be of the user, found system$/],
  [
    { turns: [{ role: "tool", content: "x" }] },
    /expected turns\[0\]\.role to be system, user, assistant, found "tool"$/,
  ],
  [{ turns: [{ role: "constructor", content: "x" }] }, /turns\[0\]\.role .* found "constructor"$/],
  [{ turns: [{ role: "user", content: null }] }, /expected turns\[0\]\.content to be a text, found null$/],
  [{ turns: "text" }, /expected turns to be a list, found "text"$/],
  [{ turns: [1] }, /expected turns\[0\] to be an object, found 1$/],
  [{ text: "x" }, /expected one of turns, messages, conversations or instruction, found the keys text$/],
  [{ instruction: "x" }, /expected output to be a text, found nothing$/],
  [{ instruction: "x", output: "y", history: [["a", "b"]] }, /found a history/],
  [
    { conversations: [{ from: "function_call", value: "x" }] },
    /conversations\[0\]\.from to be .*human, gpt, found "function_call"$/,
  ],
  [{ turns: [QUESTION, ANSWER], skill: 3 }, /expected skill to be a text, found 3$/],
  [{ turns: [QUESTION, ANSWER], floor_nats: -1 }, /expected floor_nats to be a number of at least 0, found -1$/],
  [{ turns: [{ role: "user", content: "\ud800" }] }, /turns\[0\]\.content has half of a surrogate pair/],
])("%j is refused with its reason", async (record, message) => {
  expect(await problemOf(record)).toMatch(message);
});

test("bytes that are not UTF-8 are told by line", async () => {
  const path = await fileWith("a.jsonl", Buffer.concat([Buffer.from("\n"), Buffer.from([0x22, 0xff, 0x22])]));
  expect((await refusal(path)).message).toBe(`${path}:2: expected UTF-8 text, found other bytes`);
});

test("an empty file, an empty array, another kind of file and a missing one are refused", async () => {
  expect((await refusal(await fileWith("a.jsonl", "\n\n"))).message).toMatch(/found none: the data set is empty$/);
  expect((await refusal(await fileWith("a.json", "[]"))).message).toMatch(/the data set is empty$/);
  expect((await refusal(await fileWith("a.json", "{}"))).message).toMatch(/expected a JSON array of conversations/);
  expect((await refusal(await fileWith("a.json", "[1,"))).message).toMatch(/a\.json:1:4: expected JSON, found the end/);
  expect((await refusal(await fileWith("a.csv", "x"))).message).toMatch(/expected a \.jsonl, \.json or \.parquet file/);
  expect((await refusal(await fileWith("a.parquet", "not parquet at all"))).message).toMatch(/expected a Parquet file/);
  expect((await refusal("/nowhere/a.jsonl")).message).toBe("/nowhere/a.jsonl: no such file or folder");
  expect((await refusal("/nowhere/a.parquet")).message).toBe("/nowhere/a.parquet: no such file or folder");
});

test("an item of a JSON array is told by its number", async () => {
  const path = await fileWith("a.json", JSON.stringify([{ turns: [QUESTION, ANSWER] }, 5]));
  expect((await refusal(path)).message).toBe(`${path}: item 2: expected a JSON object, found 5`);
});
