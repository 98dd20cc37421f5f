/** Unions of vocabularies as the library that encodes texts reads them, and the ids in the configs. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "tokenizers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FIRST_PIECES, sentencePieceFile } from "../../tokenizer/sentencepiece-file.ts";
import { linear, type SmallModels, smallModels } from "../small-models.ts";

let models: SmallModels;

beforeAll(async () => {
  models = await smallModels();
});

afterAll(() => models.remove());

/** Byte pair encoding of letters and the beginnings of words; special tokens have the ids behind them. */
function bytePairs(words: readonly string[], specials: readonly string[] = [], more: object = {}) {
  const vocab = new Map([..."abcdefghijklmnopqrstuvwxyz "].map((letter, id) => [letter, id]));
  const merges: [string, string][] = [];
  for (const word of words) {
    let piece = word[0]!;
    for (const letter of word.slice(1)) {
      if (!vocab.has(piece + letter)) {
        merges.push([piece, letter]);
        vocab.set(piece + letter, vocab.size);
      }
      piece += letter;
    }
  }
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    added_tokens: specials.map((content, i) => ({ id: vocab.size + i, content, ...flags })),
    normalizer: null,
    pre_tokenizer: null,
    ...more,
    model: { type: "BPE", vocab: Object.fromEntries(vocab), merges },
  };
}

function unigram(pieces: readonly (readonly [string, number])[], specials: readonly string[] = []) {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    added_tokens: specials.map((content, i) => ({ id: pieces.length + i, content, ...flags })),
    normalizer: null,
    pre_tokenizer: null,
    model: { type: "Unigram", unk_id: 0, vocab: pieces },
  };
}

type File = ReturnType<typeof bytePairs> | ReturnType<typeof unigram>;

async function model(name: string, value: number, tokenizer: File, files: object = {}): Promise<void> {
  const pieces = Array.isArray(tokenizer.model.vocab)
    ? tokenizer.model.vocab.length
    : Object.keys(tokenizer.model.vocab).length;
  const rows = pieces + tokenizer.added_tokens.length;
  await models.model(
    name,
    value,
    { "model.embed_tokens.weight": [rows, 2] },
    {
      "config.json": { vocab_size: rows },
      "tokenizer.json": tokenizer,
      ...files,
    },
  );
}

const encode = async (folder: string, text: string): Promise<string[]> =>
  (await Tokenizer.fromFile(join(folder, "tokenizer.json")).encode(text)).getTokens();

const union = (...names: string[]) => ({ ...linear(...names), base_model: names[0], tokenizer_source: "union" });

describe("a union of byte pairs", () => {
  test("cuts texts of the first model as before, and puts together what only the other knows", async () => {
    await model("nation", 1, bytePairs(["nation", "the"], ["<s>", "</s>"]));
    await model("tion", 3, bytePairs(["tion", "he"], ["<s>", "<|end|>"]));
    const { out, warnings, tensors, json } = await models.merge(union("nation", "tion"));
    expect(warnings).toEqual([]);
    for (const text of ["nation", "the", "nationthe</s>"]) {
      expect(await encode(out, text), text).toEqual(await encode(join(models.folder, "nation"), text));
    }
    expect(await encode(out, "motion<|end|>")).toEqual(["m", "o", "tion", "<|end|>"]);
    expect((await json("tokenizer.json")).added_tokens).toMatchObject([
      { content: "<s>" },
      { content: "</s>" },
      { content: "<|end|>", special: true },
    ]);
    // 27 letters, 7 pieces of the first, 2 special tokens; then 3 pieces, "he" and a special token of the other.
    const tokenizer = Tokenizer.fromFile(join(out, "tokenizer.json"));
    expect(tensors.get("model.embed_tokens.weight")!.shape).toEqual([41, 2]);
    expect(["<s>", "</s>", "ti", "he", "<|end|>"].map((token) => tokenizer.tokenToId(token))).toEqual([
      34, 35, 36, 39, 40,
    ]);
  });

  test("of tokenizers that cut texts differently is told", async () => {
    await model("words", 3, bytePairs(["tion"], [], { pre_tokenizer: { type: "Whitespace" } }));
    const { warnings, out } = await models.merge(union("nation", "words"));
    expect(warnings).toEqual([
      "words: its tokenizer cuts texts in another way than that of nation, which the result has: 3 tokens get rows, and no text becomes them",
    ]);
    expect(await encode(out, "motion")).toEqual(["m", "o", "t", "i", "o", "n"]);
  });
});

test("a union of pieces with scores keeps the scores, and every id", async () => {
  const letters = [..."abcn"].map((letter) => [letter, -9] as const);
  await model("u1", 1, unigram([["<unk>", 0], ...letters, ["ab", -2]], ["<s>"]));
  await model("u2", 3, unigram([["<unk>", 0], ...letters, ["nc", -1.5]], ["<s>"]));
  const { out } = await models.merge(union("u1", "u2"));
  expect(await encode(out, "abnc<s>")).toEqual(["ab", "nc", "<s>"]);
  expect(Tokenizer.fromFile(join(out, "tokenizer.json")).tokenToId("<s>")).toBe(6);
  expect(Tokenizer.fromFile(join(out, "tokenizer.json")).tokenToId("nc")).toBe(7);
});

describe("generation ends", () => {
  const eos = (id: unknown) => ({
    "config.json": { vocab_size: 36, eos_token_id: id, image_token_id: 0 },
    "generation_config.json": { eos_token_id: id, temperature: 0.5 },
  });

  test("where the turns of the tokenizer's own model do", async () => {
    await model("base", 1, bytePairs(["nation", "the"], ["<s>", "</s>"]), eos(35));
    await model("chat", 3, bytePairs(["nation", "the"], ["<s>", "</s>", "<|im_end|>"]), {
      ...eos([36, 35]),
      "config.json": { vocab_size: 37, eos_token_id: 36 },
    });
    const config = { ...linear("base", "chat"), base_model: "base", tokenizer_source: "chat" };
    const { json } = await models.merge(config);
    expect(await json("generation_config.json")).toEqual({ eos_token_id: [36, 35], temperature: 0.5 });
    expect(await json("config.json")).toMatchObject({ eos_token_id: 36, image_token_id: 0 });
  });

  test("at the token that the tokenizer names where no config of its model does", async () => {
    await model("named", 3, bytePairs(["nation", "the"], ["<s>", "<|im_end|>"]), {
      "tokenizer_config.json": { eos_token: { content: "<|im_end|>" } },
    });
    const config = { ...linear("base", "named"), base_model: "base", tokenizer_source: "named" };
    const { json } = await models.merge(config);
    expect(await json("generation_config.json")).toMatchObject({ eos_token_id: 35 });
  });
});

describe("models without a tokenizer.json", () => {
  const sentencePiece = async (name: string, value: number, pieces: readonly string[]): Promise<void> => {
    const all = [...FIRST_PIECES, ...pieces.map((text, i) => ({ text, score: -i }))];
    await models.model(
      name,
      value,
      { "model.embed_tokens.weight": [all.length, 2] },
      {
        "config.json": { vocab_size: all.length },
        "tokenizer_config.json": { tokenizer_class: "LlamaTokenizer" },
      },
    );
    await writeFile(join(models.folder, name, "tokenizer.model"), sentencePieceFile({ pieces: all }));
  };

  test("are compared and united by their tokenizer.model", async () => {
    await sentencePiece("spm-a", 1, ["a", "b", "▁a"]);
    await sentencePiece("spm-b", 3, ["b", "a", "▁b"]);
    expect(await models.refusal(linear("spm-a", "spm-b"))).toBe(
      'spm-b/tokenizer.model: expected the tokens of spm-a, but the id of "a" is 259 there and 260 in spm-b; say with tokenizer which vocabulary the result has',
    );
    const { json, tensors } = await models.merge(union("spm-a", "spm-b"));
    expect(tensors.get("model.embed_tokens.weight")!.shape).toEqual([263, 2]);
    expect(await json("tokenizer.json")).toMatchObject({ model: { vocab: { a: 259, b: 260, "▁a": 261, "▁b": 262 } } });
  });

  test("whose lists are not read here are merged with a word about it where they differ", async () => {
    for (const [name, token] of ["one", "two"].entries()) {
      await models.model(`words-${name}`, 1, { "embeddings.weight": [2, 2] }, { "vocab.txt": `[UNK]\n${token}\n` });
    }
    expect((await models.merge(linear("words-0", "words-1"))).warnings).toEqual([
      "words-1: whether its tokens are those of words-0 cannot be told from vocab.txt; with a tokenizer.json in both it can (AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers)",
    ]);
    expect((await models.merge(linear("words-0"))).warnings).toEqual([]);
  });

  test("or that cannot be read are refused with what helps", async () => {
    await sentencePiece("spm-c", 1, ["a"]);
    await writeFile(join(models.folder, "spm-c/tokenizer.model"), "no model");
    expect(await models.refusal(linear("spm-a", "spm-c"))).toContain(
      "with a tokenizer.json beside it this file is not read: AutoTokenizer",
    );
  });
});
