/** A model cut down to some texts gives them the tokens that the whole one gives. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as Library } from "tokenizers";
import { describe, expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import { joinedJson, mergesOf, setApart, type Table, vocabularyOf } from "#src/tokenizer/model-tables.js";
import { reduceTables } from "#src/tokenizer/reduced-model.js";
import { lettersOfBytes } from "#src/tokenizer/token-bytes.js";
import { GOLDEN_MODELS } from "./edited-folder.ts";

const read = (name: string): object => JSON.parse(readFileSync(join(GOLDEN_MODELS, name, "tokenizer.json"), "utf8"));

const count = (table: Table<unknown>): number => [...table.entries()].length;

const spellings: Readonly<Record<string, (text: string) => string>> = {
  // Its normaliser puts a prefix before the text.
  mistral: (text) => `▁${text.replaceAll(" ", "▁")}`,
  qwen2: (text) => lettersOfBytes(Buffer.from(text.normalize("NFC"), "utf8")),
};

/** Words and odd characters in any order. */
function randomTexts(seed: string, count: number): string[] {
  const random = createRandom(seed);
  const parts = ["the", "ing", " ", "  ", "é", "e\u0301", "猫", "😀", "\n", "201", "'s", "__proto__", "Hello", "x"];
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + random.integer(5) }, () => parts[random.integer(parts.length)]!).join(""),
  );
}

describe.each(["mistral", "qwen2"])("%s", (name) => {
  const file = { ...read(name), added_tokens: [] };
  const whole = Library.fromString(JSON.stringify(file));
  const idsOf = async (library: Library, texts: string[]): Promise<number[][]> =>
    (await library.encodeBatch(texts, { addSpecialTokens: false })).map((encoding) => [...encoding.getIds()]);

  test.each([1, 40])("%d texts", async (many) => {
    const texts = randomTexts(`${name} ${many}`, many);
    const { file: rest, tables } = setApart(file);
    const needed = reduceTables(tables!, null, texts.map(spellings[name]!));
    expect(count(needed.vocabulary)).toBeLessThan(count(tables!.vocabulary));
    expect(count(needed.merges)).toBeLessThan(count(tables!.merges));
    const reduced = Library.fromString(joinedJson({ file: rest, tables: needed }));
    expect(await idsOf(reduced, texts)).toEqual(await idsOf(whole, texts));
  });
});

test("keeps what the texts hold, bytes, the unknown token and what is too long to tell", () => {
  const long = "a".repeat(65);
  const vocab = { a: 0, b: 1, c: 2, ab: 3, bc: 4, "<0x0A>": 5, "<unk>": 6, [long]: 7, __proto__x: 8 };
  const tables = { vocabulary: vocabularyOf(vocab), merges: mergesOf(["a b", ["b", "c"]]) };
  const needed = reduceTables(tables, "<unk>", ["xaby"]);
  const kept = Object.fromEntries(needed.vocabulary.entries());
  expect(kept).toEqual({ a: 0, b: 1, ab: 3, "<0x0A>": 5, "<unk>": 6, [long]: 7 });
  expect([...needed.merges.entries()]).toEqual([["a", "b"]]);
});
