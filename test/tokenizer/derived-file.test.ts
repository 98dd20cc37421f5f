import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { checkSameVocabulary } from "#src/merge/vocabulary/same-vocabulary.js";
import { copyModelFiles } from "#src/models/folder.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { readSpecialTokens } from "#src/tokenizer/special.js";
import { createTokenTable, readTokenTableParts } from "#src/tokenizer/token-table.js";
import { writeDerivedTokenizer } from "#src/tokenizer/tokenizer-source.js";
import { FIRST_PIECES, sentencePieceFile, type WrittenModel, type WrittenPiece } from "./sentencepiece-file.ts";

const made: string[] = [];
afterEach(async () => {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true });
});

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-model-"));
  made.push(folder);
  return folder;
}

async function folderOf(model: WrittenModel, config: object = {}): Promise<string> {
  const folder = await emptyFolder();
  await writeFile(join(folder, "tokenizer.model"), sentencePieceFile(model));
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  return folder;
}

const WORDS = ["▁", "a", "b", "c", "t", "h", "e", "▁t", "he", "▁the", "ab", "bc", "abc", "aa", "aab"];
const PIECES: readonly WrittenPiece[] = [
  ...FIRST_PIECES,
  ...WORDS.map((text, index) => ({ text, score: text.length === 1 ? -1e9 : -index })),
];

describe("a tokenizer.model alone", () => {
  // The ids that Python's sentencepiece 0.2.3 gives with the same pieces and scores.
  test.each([
    [true, "the the", [268, 268]],
    [true, "abc aabc", [259, 271, 259, 260, 271]],
    [true, "  the", [259, 259, 268]],
    [true, "aaab", [259, 272, 269]],
    [true, "é\n", [259, 198, 172, 13]],
    [true, "▁the", [259, 268]],
    [true, "<0x41>", [259, 63, 51, 123, 55, 52, 65]],
    [true, "bcbc abab", [259, 270, 270, 259, 269, 269]],
    [true, "a\u0000", [259, 260, 3]],
    [false, "the the", [263, 267, 268]],
    [false, "abc aabc", [271, 259, 260, 271]],
    [false, "  the", [259, 268]],
    [false, "aaab", [272, 269]],
    [false, "▁the", [268]],
  ])("with the dummy prefix %s encodes %j as SentencePiece does", async (addDummyPrefix, text, ids) => {
    const tokenizer = await loadTokenizer(await folderOf({ pieces: PIECES, addDummyPrefix }));
    const encoding = await tokenizer.encode(text);
    expect([...encoding.ids]).toEqual(ids);
    expect(encoding.byteEnd.at(-1)).toBe(Buffer.byteLength(text));
  });

  test("begins the first token of bytes like any other", async () => {
    const tokenizer = await loadTokenizer(await folderOf({ pieces: PIECES }));
    expect(await tokenizer.firstTokenOf(Buffer.from("the the"))).toBe(263);
    expect(await tokenizer.firstTokenOf(Buffer.from(" the"))).toBe(268);
    expect(await tokenizer.firstTokenOf(Uint8Array.of(0x9f))).toBe(3 + 0x9f);
  });

  test("gives the pieces that were kept free the names that the configuration gives them", async () => {
    const free = [
      { text: "[UNUSED_0]", type: 4 },
      { text: "[UNUSED_1]", type: 4 },
    ];
    const folder = await folderOf(
      { pieces: [...PIECES, ...free] },
      { added_tokens_decoder: { 274: { content: "<|end|>", special: true } }, eos_token: "<|end|>" },
    );
    const tokenizer = await loadTokenizer(folder);
    expect([...(await tokenizer.encode("a<|end|>b")).ids]).toEqual([259, 260, 274, 259, 261]);
    expect(tokenizer.tokenText(274)).toBe("<|end|>");
    expect([tokenizer.isSpecial(274), tokenizer.isAdded(275)]).toEqual([true, false]);
    expect((await readSpecialTokens(folder)).eos).toBe(274);
  });

  test("whose tokens no other file lists has its own: control pieces are special, those of a user are text", async () => {
    const own = [
      { text: "<|end|>", type: 4 },
      { text: "<pad>", type: 3 },
    ];
    const tokenizer = await loadTokenizer(await folderOf({ pieces: [...PIECES, ...own], addDummyPrefix: false }));
    expect([...(await tokenizer.encode("the<|end|><pad>")).ids]).toEqual([263, 267, 274, 275]);
    const states = [1, 274, 275, 260].map((id) => [tokenizer.isSpecial(id), tokenizer.isAdded(id)]);
    expect(states).toEqual([
      [true, true],
      [false, true],
      [true, true],
      [false, false],
    ]);
  });

  test("of a Llama obeys legacy and add_prefix_space", async () => {
    const ids = async (config: object) => {
      const folder = await folderOf({ pieces: PIECES }, { tokenizer_class: "LlamaTokenizer", ...config });
      return [...(await (await loadTokenizer(folder)).encode("the</s>the")).ids];
    };
    expect(await ids({})).toEqual([268, 2, 268]);
    expect(await ids({ legacy: false })).toEqual([268, 2, 263, 267]);
    expect(await ids({ add_prefix_space: false })).toEqual([263, 267, 2, 263, 267]);
  });

  test("that cannot be used here is copied as it is", async () => {
    const folder = await folderOf({ pieces: PIECES, algorithm: 1 });
    const copy = await emptyFolder();
    await writeDerivedTokenizer(folder, copy);
    expect(await readdir(copy)).toEqual([]);
  });

  test("is compared with other models' vocabularies before a merge", async () => {
    const folder = await folderOf({ pieces: PIECES });
    const other = await folderOf({ pieces: [...PIECES.slice(0, -2), { text: "ba", score: -40 }, PIECES.at(-1)!] });
    const same = await emptyFolder();
    await writeDerivedTokenizer(folder, same);
    const models = (second: string) => [
      { name: "first", folder },
      { name: "second", folder: second },
    ];
    expect(await checkSameVocabulary(models(same))).toEqual([]);
    await expect(checkSameVocabulary(models(other))).rejects.toThrow(
      /the id of "aa" is 272 there and absent in second/,
    );
  });

  test("is one tokenizer with the copy that carries the derived tokenizer.json", async () => {
    const folder = await folderOf({ pieces: PIECES }, { tokenizer_class: "LlamaTokenizer", legacy: false });
    const copy = await emptyFolder();
    await writeFile(join(folder, "config.json"), "{}");
    await copyModelFiles(folder, copy);
    const files = ["config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"];
    expect((await readdir(copy)).sort()).toEqual(files);
    const table = createTokenTable(await readTokenTableParts(folder));
    const copied = await loadTokenizer(copy);
    expect(copied.sha256).toBe(table.sha256);
    expect(copied.size).toBe(table.size);
    expect([...(await copied.encode("the</s>the")).ids]).toEqual([268, 2, 263, 267]);
  });
});

describe("refused by name", () => {
  const unused = [...PIECES, { text: "bcb", type: 5, score: -20 }];
  test.each([
    ["a unigram model", { pieces: PIECES, algorithm: 1 }, /a SentencePiece unigram model is not supported/],
    ["a model of words", { pieces: PIECES, algorithm: 3 }, /a SentencePiece word model is not supported/],
    ["no byte fallback", { pieces: PIECES, byteFallback: false }, /without byte fallback is not supported/],
    ["spaces behind words", { pieces: PIECES, spaceBehind: true }, /that puts spaces behind words/],
    [
      "a table of characters",
      { pieces: PIECES, table: Buffer.from("x") },
      /with the normaliser identity is not supported/,
    ],
    ["extra spaces removed", { pieces: PIECES, removeExtraSpaces: true }, /that removes extra spaces/],
    ["spaces left as they are", { pieces: PIECES, escapeSpaces: false }, /that leaves spaces as they are/],
    ["no unknown piece", { pieces: PIECES.slice(1) }, /it has no unknown piece/],
    ["a piece twice", { pieces: [...PIECES, { text: "abc" }] }, /the piece "abc" has two ids/],
    ["an unused piece in merges", { pieces: unused }, /the unused piece "bcb" in merges is not supported/],
  ])("is a model with %s", async (_, model, message) => {
    const folder = await folderOf(model);
    await expect(loadTokenizer(folder)).rejects.toThrow(message);
    await expect(loadTokenizer(folder)).rejects.toThrow(join(folder, "tokenizer.model"));
  });

  test("is a folder without any tokenizer, with what to do", async () => {
    const folder = await emptyFolder();
    const message =
      /no tokenizer: expected tokenizer\.json or a SentencePiece tokenizer\.model, found neither; copy them/;
    await expect(loadTokenizer(folder)).rejects.toThrow(message);
    await writeFile(join(folder, "vocab.json"), "{}");
    await writeFile(join(folder, "merges.txt"), "");
    await expect(loadTokenizer(folder)).rejects.toThrow(/found merges\.txt, vocab\.json; .*save_pretrained/);
  });
});
