/** Tables set apart by quotes and brackets are those that a whole parse gives, and odd files are left to that. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import { joinedJson, parseApart, setApart, type TablesApart } from "#src/tokenizer/model-tables.js";
import { GOLDEN_MODELS } from "./edited-folder.ts";

function expectSame(apart: TablesApart | null, whole: object): void {
  const expected = setApart(whole);
  expect(apart?.file).toEqual(expected.file);
  expect(new Map(apart?.tables?.vocabulary.entries())).toEqual(new Map(expected.tables?.vocabulary.entries()));
  expect([...(apart?.tables?.merges.entries() ?? [])]).toEqual([...(expected.tables?.merges.entries() ?? [])]);
  expect(JSON.parse(joinedJson(apart!))).toEqual(whole);
  expect(JSON.parse(joinedJson(expected))).toEqual(whole);
}

test.each(["mistral", "qwen2", "llama", "mixtral"])("the golden %s comes back whole", (name) => {
  const bytes = readFileSync(join(GOLDEN_MODELS, name, "tokenizer.json"));
  expectSame(parseApart(bytes, "tokenizer.json"), JSON.parse(bytes.toString("utf8")));
});

describe("files as odd as JSON allows", () => {
  const words = ["merges", "vocab", "model", '"', "\\", "]", "}", "a b", "é", "😀", ",", ":", "7", "__proto__", "\n"];

  test.each(Array.from({ length: 60 }, (_, seed) => seed))("file %d", (seed) => {
    const random = createRandom(`tables ${seed}`);
    const word = (): string => words[random.integer(words.length)]! + words[random.integer(words.length)]!;
    const merge = (): unknown => (random.integer(2) === 0 ? `${word()} ${word()}` : [word(), word()]);
    // Long enough for several stretches in some files.
    const many = random.integer(3) === 0;
    const vocab = Array.from({ length: many ? 9000 : 9 }, (_, id) => [many ? `${word()}${id}` : word(), id] as const);
    const tables = {
      vocab: Object.fromEntries(vocab),
      merges: Array.from({ length: many ? 9000 : random.integer(4) }, merge),
    };
    const { vocab: first, merges: second } = tables;
    const model =
      random.integer(2) === 0 ? tables : { type: "BPE", merges: second, vocab: first, last: { vocab: [1] } };
    const whole = { merges: [1], added_tokens: [{ content: word(), model: { merges: ["x y"] } }], model, end: [[{}]] };
    expectSame(parseApart(Buffer.from(JSON.stringify(whole, null, random.integer(3))), "tokenizer.json"), whole);
  });
});

test.each([
  ["no model", '{"vocab": {}, "merges": []}'],
  ["no merges", '{"model": {"vocab": {}}}'],
  ["no vocabulary", '{"model": {"merges": []}}'],
  ["two models", '{"model": {"vocab": {}, "merges": []}, "model": {"vocab": {}, "merges": []}}'],
  ["two lists", '{"model": {"vocab": {}, "merges": [], "merges": []}}'],
  ["two vocabularies", '{"model": {"vocab": {}, "merges": [], "vocab": {}}}'],
  ["a vocabulary that is a list", '{"model": {"vocab": [["a", 1]], "merges": []}}'],
  ["an id that is no whole number", '{"model": {"vocab": {"a": 1.5}, "merges": []}}'],
  ["an id that is a text", '{"model": {"vocab": {"a": "1"}, "merges": []}}'],
  ["merges that are no list", '{"model": {"vocab": {}, "merges": {}}}'],
  ["a merge of three", '{"model": {"vocab": {}, "merges": [["a", "b", "c"]]}}'],
  ["a merge of numbers", '{"model": {"vocab": {}, "merges": [1]}}'],
  ["a list that does not end", '{"model": {"vocab": {}, "merges": ["a b"'],
  ["a string that does not end", '{"model": {"vocab": {}, "merges": ["a b'],
  ["broken JSON elsewhere", '{"model": {"vocab": {}, "merges": []}, }'],
  ["tables of something else", '{"model": 1, "other": {"vocab": {}, "merges": []}}'],
  ["no object", "[]"],
  ["nothing", ""],
])("%s: read as a whole", (_, text) => {
  expect(parseApart(Buffer.from(text), "tokenizer.json")).toBeNull();
});

test("bytes that are not UTF-8 are left to the whole reading, which tells where", () => {
  const [before, after] = [Buffer.from('{"model": {"vocab": {}, "merges": ["'), Buffer.from('"]}}')];
  expect(parseApart(Buffer.from([...before, 0xff, ...after]), "tokenizer.json")).toBeNull();
});

test("what is no JSON between the brackets of a table is told by the file when it is read", () => {
  const text = '{"model": {"type": "BPE", "vocab": {"a": 0, "b\u0001": 1}, "merges": []}}';
  const { tables } = parseApart(Buffer.from(text), "folder/tokenizer.json")!;
  expect(() => [...tables!.vocabulary.entries()]).toThrow(
    "folder/tokenizer.json: model: expected a vocabulary and merges in JSON, found something else",
  );
});
