import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteFile } from "hyparquet-writer";
import { expect, test } from "vitest";
import { type CsvRow, CsvSplitter } from "#src/data/containers/csv-splitter.js";
import { CONTAINERS } from "#src/data/containers/index.js";
import { JsonSplitter } from "#src/data/containers/json-splitter.js";
import { foundJson } from "#src/data/containers/json-value.js";
import { linesOf as fileLines } from "#src/data/containers/lines.js";
import { sourceOf } from "#src/data/containers/source.js";
import { readConversations } from "#src/data/read.js";
import { ANSWER, fileWith, linesOf, newFolder, QUESTION, refusal, SYSTEM, turnsOf } from "../files.ts";

const SAVED = resolve(import.meta.dirname, "../../golden/datasets");
const CHATS = join(SAVED, "chats.jsonl");

const TURNS = [QUESTION, ANSWER];
const RECORD = { messages: TURNS };

test("the containers are these", () => {
  expect(CONTAINERS.flatMap(({ suffixes }) => suffixes)).toEqual([
    ...[".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".arrow"],
  ]);
});

test.each(["saved", "chats.parquet", "chats.arrow", "saved/*.arrow", "chats.jsonl.zst"])(
  "%s reads like the JSON Lines that it was made of",
  async (name) => {
    const { conversations } = await readConversations(join(SAVED, name));
    expect(conversations).toEqual((await readConversations(CHATS)).conversations);
    expect(conversations[2]?.turns[1]).toEqual({ role: "assistant", content: "masked", trained: false });
  },
);

test("Parquet rows of JSON columns and of texts are read", async () => {
  const path = join(await newFolder(), "data.parquet");
  const messages = [TURNS, [SYSTEM, ...TURNS]];
  parquetWriteFile({
    filename: path,
    columnData: [
      { name: "messages", data: messages, type: "JSON" },
      { name: "skill", data: ["facts", null], type: "STRING" },
      { name: "tools", data: [null, '[{"name":"clock"}]'], type: "STRING" },
      { name: "weight", data: [1n, 1n], type: "INT64" },
    ],
  });
  expect((await readConversations(path)).conversations).toMatchObject([
    { turns: messages[0], skill: "facts" },
    { turns: messages[1], tools: [{ name: "clock" }] },
  ]);
});

test("a CSV file has named columns, cells of several lines, and empty cells that say nothing", async () => {
  const csv = '\ufeffinstruction,input,output,label\r\n"Say ""a, b""",,"x\ny",True\r\nIs water wet?,,Yes,\r\n';
  expect(await turnsOf(await fileWith("a.csv", csv))).toEqual([
    [
      { role: "user", content: 'Say "a, b"' },
      { role: "assistant", content: "x\ny" },
    ],
    TURNS,
  ]);
  const rows = "prompt,completion,label\na,b,False\nc,d\n";
  expect(await refusal(await fileWith("a.csv", rows))).toMatch(
    /: row 1: label is "False": .*\n.*: row 2: expected a cell for each of the 3 columns, found 2;/,
  );
  const messages = `messages\n"${JSON.stringify(TURNS).replaceAll('"', '""')}"\n`;
  expect(await turnsOf(await fileWith("a.csv", messages))).toEqual([TURNS]);
});

test("CSV gives the same rows however it is cut into pieces, and whatever ends its lines", () => {
  const text = 'a,"b ""c"", d",\n\n"",x\r\n"e\nf\r\n"\r,\n"g",""';
  const rows = [["a", 'b "c", d', ""], ["", "x"], ["e\nf\r\n"], ["", ""], ["g", ""]];
  for (let length = 1; length <= text.length; length++) {
    const splitter = new CsvSplitter(100);
    const found: CsvRow[] = [];
    for (let at = 0; at < text.length; at += length) found.push(...splitter.split(text.slice(at, at + length)));
    expect([...found, ...splitter.finish()]).toEqual(rows);
  }
});

test("a CSV row that is too long is not held", () => {
  const splitter = new CsvSplitter(10);
  const text = `a,b\n"${"x,".repeat(20)}",b\n${",".repeat(20)}\nc,d`;
  expect([...splitter.split(text), ...splitter.finish()]).toEqual([["a", "b"], null, null, ["c", "d"]]);
});

test("a CSV file that is none is refused in one sentence", async () => {
  const cannot = "a\\.csv: expected CSV, but it cannot be read: ";
  for (const [text, found] of [
    ['a,b\n"x"y,z\n', "row 1 has something between the quote that ends a cell and the next comma"],
    ['a,b\nx"y",z\n', "row 1 has a quote within a cell that does not begin with one"],
    ['"a,b\nx,z\n', "the first line has a quote that is never closed"],
  ] as const) {
    expect(await refusal(await fileWith("a.csv", text))).toMatch(new RegExp(`${cannot}${found}$`));
  }
  expect(await refusal(await fileWith("a.csv", "prompt,prompt\na,b\n"))).toMatch(/found "prompt" twice$/);
  expect(await refusal(await fileWith("a.csv", Buffer.from([0x61, 0x2c, 0xff, 0x0a])))).toMatch(/expected UTF-8 text/);
  expect(await refusal(await fileWith("a.csv", "constructor,__proto__\na,b\n"))).toMatch(/found the keys/);
});

test.each<[string, string]>([
  ["an array", JSON.stringify([RECORD, RECORD])],
  ["an array over many lines", `\ufeff[\r\n${JSON.stringify(RECORD, null, 2)}\r\n,${JSON.stringify(RECORD)} ] \n`],
  ["JSON Lines", `${linesOf(RECORD, RECORD)}\n`],
  ["JSON Lines after an empty line", `\n${linesOf(RECORD)}\n\n${linesOf(RECORD)}`],
  ["objects one after the other", `${JSON.stringify(RECORD, null, 2)}\n${JSON.stringify(RECORD, null, 2)}`],
  ["an object that holds one list", JSON.stringify({ version: "1", meta: { a: [1] }, data: [RECORD, RECORD] })],
  ["a list under the name of a shape", JSON.stringify({ conversations: [RECORD, RECORD] })],
])("%s in a .json file is read", async (_, text) => {
  expect(await turnsOf(await fileWith("a.json", text))).toEqual([TURNS, TURNS]);
});

test("a .json file may hold one record", async () => {
  expect(await turnsOf(await fileWith("a.json", JSON.stringify(RECORD)))).toEqual([TURNS]);
});

test("what is wrong with a .json file is told with its place", async () => {
  expect(await refusal(await fileWith("a.json", "[1,"))).toMatch(
    /a\.json:1:4: expected JSON, found the end of the file$/,
  );
  expect(await refusal(await fileWith("a.json", '[{"a":1}\n{"b":1}]'))).toMatch(
    /a\.json:2:1: expected JSON, found "\{"$/,
  );
  expect(await refusal(await fileWith("a.json", "[] []"))).toMatch(/found another$/);
  expect(await refusal(await fileWith("a.json", JSON.stringify([RECORD, 5])))).toMatch(
    /a\.json: item 2: expected a JSON object, found 5;/,
  );
  expect(await refusal(await fileWith("a.json", `[${JSON.stringify(RECORD)},{"a":nan}]`))).toMatch(
    /a\.json: item 2: expected a JSON object, found "nan\}" at character 6/,
  );
  const lists = JSON.stringify({ train: [RECORD], test: [RECORD] });
  expect(await refusal(await fileWith("a.json", lists))).toMatch(
    /expected one list of records, found "train" and "test"/,
  );
});

test("deep nesting is told, not followed", async () => {
  const deep = `[${"[".repeat(200_000)}${"]".repeat(200_000)}]`;
  expect(await refusal(await fileWith("a.json", deep))).toMatch(/: item 1: expected a JSON object, found a list;/);
});

test("empty files, other kinds of files and missing ones are told in one sentence", async () => {
  for (const name of ["a.jsonl", "a.json", "a.csv"]) {
    expect(await refusal(await fileWith(name, ""))).toMatch(
      /: expected conversations, found none: the data set is empty$/,
    );
  }
  expect(await refusal(await fileWith("a.jsonl", "\r\n\n"))).toMatch(/the data set is empty$/);
  expect(await refusal(await fileWith("a.json", "[]"))).toMatch(/the data set is empty$/);
  expect(await refusal(await fileWith("a.arrow", ""))).toMatch(
    /expected Arrow, but it cannot be read: it is too short$/,
  );
  expect(await refusal(await fileWith("a.parquet", ""))).toMatch(/expected a Parquet file/);
  expect(await refusal(await fileWith("a.arrow", "not Arrow at all"))).toMatch(/expected Arrow, but it cannot be read/);
  expect(await refusal(await fileWith("a.txt", "x"))).toMatch(
    /expected a file of conversations \(\.jsonl, .*, each also with \.gz or \.zst\), found "a\.txt"$/,
  );
  expect(await refusal("/nowhere/a.jsonl")).toBe("/nowhere/a.jsonl: no such file or folder");
  expect(await refusal("/nowhere/a.parquet")).toBe("/nowhere/a.parquet: no such file or folder");
});

test.each<[string, Uint8Array, RegExp]>([
  ["UTF-16 with its mark", Buffer.from(`\ufeff${linesOf(RECORD)}`, "utf16le"), /found UTF-16; convert it/],
  ["UTF-16 without a mark", Buffer.from(linesOf(RECORD), "utf16le"), /found UTF-16; convert it/],
  ["gzip under another name", gzipSync(linesOf(RECORD)), /found gzip; end its name with \.gz/],
  ["Parquet under another name", Buffer.from("PAR1PAR1"), /found Parquet/],
])("%s is told by name", async (_, bytes, message) => {
  for (const name of ["a.jsonl", "a.json", "a.csv"])
    expect(await refusal(await fileWith(name, bytes))).toMatch(message);
});

test("a line or an item that is too long is not held", async () => {
  const path = await fileWith("a.jsonl", `short\n${"x".repeat(200_000)}\nlast`);
  const lines: (string | null)[] = [];
  for await (const some of fileLines(sourceOf(path), 100)) {
    for (const line of some) lines.push(line && Buffer.from(line).toString("utf8"));
  }
  expect(lines).toEqual(["short", null, "last"]);
  const items = new JsonSplitter(1, 100).split(Buffer.from(`[1,"${"x".repeat(200_000)}",2]`));
  expect(items.map(({ bytes }) => bytes && Buffer.from(bytes).toString("utf8"))).toEqual(["1", null, "2"]);
  const { sentence } = foundJson(":2", null).problem!;
  expect(sentence).toBe("expected a record of at most 67108864 bytes, found more");
});

test("an Arrow stream or file that was cut off is refused, also between two batches", async () => {
  const stream = await readFile(join(SAVED, "saved/data-00000-of-00002.arrow"));
  const file = await readFile(join(SAVED, "chats.arrow"));
  for (const bytes of [stream.subarray(0, 500), stream.subarray(0, -8), file.subarray(0, 2000)]) {
    expect(await refusal(await fileWith("a.arrow", bytes))).toMatch(
      /a\.arrow: expected Arrow, but it cannot be read: /,
    );
  }
});

test("damaged Parquet files are told, whatever their numbers claim, and never end the program", async () => {
  const whole = await readFile(join(SAVED, "chats.parquet"));
  for (let place = whole.length - 60; place > whole.length - 1500; place -= 24) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32LE(0xffff_ffff, place);
    const error = await readConversations(await fileWith("a.parquet", bytes)).catch((caught: unknown) => caught);
    if (error instanceof Error) expect(error.message).toMatch(/a\.parquet: /);
  }
});

test("an Arrow file that claims more rows than it can hold is refused", async () => {
  const bytes = await readFile(join(SAVED, "chats.arrow"));
  // The number of rows stands, as eight bytes, before the table of the batch's fields.
  const rows = [...bytes.keys()].filter(
    (at) => at > 1000 && at % 8 === 0 && at + 8 < bytes.length && bytes.readBigInt64LE(at) === 3n,
  );
  const told = rows.map(async (at) => {
    const damaged = Buffer.from(bytes);
    damaged.writeBigInt64LE(1n << 40n, at);
    return readConversations(await fileWith("a.arrow", damaged)).then(
      () => "",
      (error: Error) => error.message,
    );
  });
  expect(await Promise.all(told)).toContainEqual(
    expect.stringMatching(/it says that \d+ bytes hold 1099511627776 rows/),
  );
});

test("a pointer of git-lfs in the place of a file is told by name", async () => {
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  for (const name of ["a.jsonl", "a.parquet", "a.arrow", "a.csv.gz"]) {
    expect(await refusal(await fileWith(name, pointer))).toMatch(/a pointer of git-lfs lies here/);
  }
});

test("a Parquet file that was cut off is refused", async () => {
  const path = join(await newFolder(), "cut.parquet");
  await writeFile(path, (await readFile(join(SAVED, "chats.parquet"))).subarray(0, 2000));
  expect(await refusal(path)).toMatch(/expected a Parquet file, but it cannot be read/);
});

test("a folder is the files of conversations in it, by their names", async () => {
  const folder = await newFolder();
  await mkdir(join(folder, "images"));
  await writeFile(join(folder, "README.md"), "# Data");
  await writeFile(join(folder, "dataset_info.json"), "{}");
  await writeFile(join(folder, "b.jsonl"), linesOf({ data: ["b", "2"] }));
  await writeFile(join(folder, "a.csv"), "prompt,completion\na,1\n");
  await writeFile(join(folder, "c.json.gz"), gzipSync(JSON.stringify([{ data: ["c", "3"] }])));
  const contents = ((await turnsOf(folder)) as { content: string }[][]).map(([first]) => first?.content);
  expect(contents).toEqual(["a", "b", "c"]);
});
