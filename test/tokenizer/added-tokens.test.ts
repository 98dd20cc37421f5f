import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { readSpecialTokens } from "#src/tokenizer/special.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import { editedFolder, type TokenizerFile } from "./edited-folder.ts";

/** What is right here was asked of transformers 4.57 and 5.24 with the same edits. */
type Config = Record<string, unknown> & { added_tokens_decoder?: Record<string, Record<string, unknown>> };

const made: string[] = [];
afterEach(async () => {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true });
});

async function edited(
  model: string,
  edit: (file: TokenizerFile, config: Config) => void,
  others: Record<string, unknown> = {},
): Promise<string> {
  const folder = await editedFolder(model, edit);
  made.push(folder);
  for (const [name, value] of Object.entries(others)) await writeFile(join(folder, name), JSON.stringify(value));
  return folder;
}

const END = "<|im_end|>";
const END_ID = 408;

function mark(file: TokenizerFile, config: Config, flags: { file?: boolean; config?: boolean }): void {
  for (const token of file.added_tokens) if (token.content === END) token.special = flags.file ?? token.special;
  const table = Object.values(config.added_tokens_decoder ?? {});
  for (const token of table) if (token.content === END) token.special = flags.config ?? token.special;
}

function unname(config: Config): void {
  for (const [key, value] of Object.entries(config)) if (value === END) delete config[key];
  delete config.additional_special_tokens;
  delete config.tokenizer_class;
}

/** The token stands in the vocabulary alone. */
function unlist(content: string, file: TokenizerFile, config: Config): void {
  const token = file.added_tokens.find((entry) => entry.content === content)!;
  file.added_tokens = file.added_tokens.filter((entry) => entry !== token);
  file.model.vocab[content] = token.id as number;
  const table = Object.entries(config.added_tokens_decoder ?? {});
  config.added_tokens_decoder = Object.fromEntries(table.filter(([, entry]) => entry.content !== content));
}

async function states(tokenizer: Tokenizer, id: number): Promise<[boolean, boolean]> {
  return [tokenizer.isSpecial(id), tokenizer.isAdded(id)];
}

describe("a token is special where", () => {
  test.each([
    ["it is named, whatever its flags", { file: false, config: false }, true, true],
    ["only tokenizer.json marks it", { file: true, config: false }, false, true],
    ["only added_tokens_decoder marks it", { file: false, config: true }, false, true],
    [
      "nothing marks or names it, which makes it an added token that is text",
      { file: false, config: false },
      false,
      false,
    ],
  ])("%s", async (_, flags, named, special) => {
    const folder = await edited("qwen2", (file, config) => {
      mark(file, config, flags);
      if (!named) unname(config);
    });
    const tokenizer = await loadTokenizer(folder);
    expect(await states(tokenizer, END_ID)).toEqual([special, true]);
    expect(await states(tokenizer, 40)).toEqual([false, false]);
    expect(await states(tokenizer, -1)).toEqual([false, false]);
    expect([...(await tokenizer.encode(`a${END}`)).ids].at(-1)).toBe(END_ID);
    expect(tokenizer.tokenBytes(END_ID) === null).toBe(special);
  });

  test.each([
    ["extra_special_tokens as a table", { extra_special_tokens: { image_token: END } }],
    ["extra_special_tokens as a list", { extra_special_tokens: [END] }],
    ["additional_special_tokens", { additional_special_tokens: [{ content: END }] }],
    ["a role of the model's own", { image_token: END }],
    ["pad_token with its flags", { pad_token: { __type: "AddedToken", content: END } }],
  ])("%s names it", async (_, names) => {
    const folder = await edited("qwen2", (file, config) => {
      mark(file, config, { file: false, config: false });
      unname(config);
      Object.assign(config, names);
    });
    expect(await states(await loadTokenizer(folder), END_ID)).toEqual([true, true]);
  });

  test("special_tokens_map.json names it, if added_tokens_decoder is not there to overrule that file", async () => {
    const named = { "special_tokens_map.json": { eos_token: { content: END, lstrip: false } } };
    const edit = (hasTable: boolean) => (file: TokenizerFile, config: Config) => {
      mark(file, config, { file: false, config: false });
      unname(config);
      config.added_tokens_decoder ??= {};
      if (!hasTable) delete config.added_tokens_decoder;
    };
    const without = await edited("qwen2", edit(false), named);
    expect(await states(await loadTokenizer(without), END_ID)).toEqual([true, true]);
    expect((await readSpecialTokens(without)).eos).toBe(END_ID);
    expect(await states(await loadTokenizer(await edited("qwen2", edit(true), named)), END_ID)).toEqual([false, true]);
  });
});

describe("a token of the vocabulary alone", () => {
  const ids = async (folder: string, text: string) => [...(await (await loadTokenizer(folder)).encode(text)).ids];

  test("is recognised where it is named, and is a row of letters where it is not", async () => {
    const plain = await edited("mistral", () => {});
    const expected = await ids(plain, "a</s>the");
    const end = expected.indexOf(2);
    expect(end).toBeGreaterThan(0);
    for (const names of [{ eos_token: "</s>" }, { additional_special_tokens: ["</s>"] }]) {
      const folder = await edited("mistral", (file, config) => {
        unlist("</s>", file, config);
        delete config.tokenizer_class;
        delete config.eos_token;
        Object.assign(config, names);
      });
      expect(await ids(folder, "a</s>the")).toEqual(expected);
      expect(await states(await loadTokenizer(folder), 2)).toEqual([true, true]);
    }
    const unnamed = await edited("mistral", (file, config) => {
      unlist("</s>", file, config);
      config.eos_token = null;
    });
    expect(await ids(unnamed, "a</s>the")).not.toContain(2);
    expect(await states(await loadTokenizer(unnamed), 2)).toEqual([false, false]);
  });

  test("is named by the class of the tokenizer, where the configuration says nothing", async () => {
    const folder = await edited("mistral", (file, config) => {
      unlist("</s>", file, config);
      delete config.eos_token;
      config.tokenizer_class = "LlamaTokenizerFast";
    });
    expect(await states(await loadTokenizer(folder), 2)).toEqual([true, true]);
    expect((await readSpecialTokens(folder)).eos).toBe(2);
  });
});

describe("the flags of an added token", () => {
  const endOf = async (edit: (file: TokenizerFile, config: Config) => void) => {
    const folder = await edited("mistral", edit);
    const { ids, byteEnd } = await (await loadTokenizer(folder)).encode("a</s>  b");
    return byteEnd[ids.indexOf(2)];
  };
  const entry = { content: "</s>", lstrip: false, normalized: false, rstrip: true, single_word: false, special: true };

  test("are those of added_tokens_decoder, not those of tokenizer.json", async () => {
    expect(await endOf(() => {})).toBe(5);
    expect(await endOf((_, config) => Object.assign(config, { added_tokens_decoder: { 2: entry } }))).toBe(7);
  });

  test("are those of its name only where the table lacks it", async () => {
    const named = { ...entry, __type: "AddedToken" };
    expect(await endOf((_, config) => Object.assign(config, { added_tokens_decoder: {}, eos_token: named }))).toBe(7);
    expect(
      await endOf((_, config) => {
        delete config.added_tokens_decoder;
        config.eos_token = named;
      }),
    ).toBe(5);
  });
});

test("added_tokens.json counts where there is no added_tokens_decoder", async () => {
  const others = { "added_tokens.json": { "<new>": 479 } };
  const bare = await edited("mistral", (_, config) => delete config.added_tokens_decoder, others);
  const tokenizer = await loadTokenizer(bare);
  // Looked for in the normalised text, behind the dummy prefix, as all tokens that are not special.
  expect([...(await tokenizer.encode("<new>")).ids]).toEqual([479]);
  expect(await states(tokenizer, 479)).toEqual([false, true]);
  const table = await edited("mistral", (_, config) => Object.assign(config, { added_tokens_decoder: {} }), others);
  expect((await loadTokenizer(table)).size).toBe(479);
});

describe("refused by name", () => {
  test("is a text with a special token that has no id", async () => {
    const folder = await edited("mistral", (_, config) => Object.assign(config, { pad_token: "[PAD]" }));
    const tokenizer = await loadTokenizer(folder);
    expect((await tokenizer.encode("[PAD")).byteEnd.at(-1)).toBe(4);
    await expect(tokenizer.encode("a [PAD]")).rejects.toThrow(/special token "\[PAD\]", which is named but has no id/);
  });

  test.each([
    [{ split_special_tokens: true }, /split_special_tokens is not supported/],
    [{ eos_token: 7 }, /eos_token: expected a token, found 7/],
    [{ added_tokens_decoder: { 2: { special: true } } }, /added_tokens_decoder\.2\.content/],
    [{ added_tokens_decoder: { two: { content: "</s>" } } }, /expected an id for the added token "<\/s>", found "two"/],
  ])("is a configuration with %j", async (edit, message) => {
    await expect(loadTokenizer(await edited("mistral", (_, config) => Object.assign(config, edit)))).rejects.toThrow(
      message,
    );
  });

  test("is a configuration that is no object", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fusechat-names-"));
    made.push(folder);
    await writeFile(join(folder, "tokenizer_config.json"), "[]");
    await expect(readSpecialTokens(folder)).rejects.toThrow(/tokenizer_config\.json: expected a JSON object/);
  });
});
