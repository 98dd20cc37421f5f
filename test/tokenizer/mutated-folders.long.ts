/**
 * Folders as people leave them: flags that contradict each other, tokens that only a configuration names, settings moved
 * to the older file, no `tokenizer.json` beside a `tokenizer.model`. None of it may change an id, and a token stays
 * special as long as one file says so or a name points at it. The same edits of eight published folders, 140 mixtures on
 * 840 texts each, gave the ids of transformers 4.57 or a refusal by name.
 */
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { loadTokenizer } from "#src/tokenizer/load.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import { tellMissing } from "../shared.ts";
import { GOLDEN_MODELS } from "./edited-folder.ts";
import { hardText } from "./hard-text.ts";

const PUBLISHED = resolve(import.meta.dirname, "../../../shared/data/tokenizers");

interface Added {
  id: number;
  content: string;
  special: boolean;
}

interface Files {
  tokenizer: { added_tokens: Added[]; model: { vocab: Record<string, number> } };
  config: Record<string, unknown> & { added_tokens_decoder?: Record<string, Omit<Added, "id">> };
  map: Record<string, unknown>;
  /** Whether `tokenizer.json` is written. */
  hasTokenizer: boolean;
}

/** What an edit needs to choose by: a number for each added token. */
type Edit = (files: Files, dice: readonly number[]) => void;

const chosen = (dice: readonly number[], index: number): boolean => dice[index % dice.length]! % 2 === 1;

const EDITS: Readonly<Record<string, Edit>> = {
  "flags of tokenizer.json flipped": ({ tokenizer }, dice) => {
    for (const [index, token] of tokenizer.added_tokens.entries())
      if (chosen(dice, index)) token.special = !token.special;
  },
  "flags of the configuration flipped": ({ config }, dice) => {
    const table = Object.values(config.added_tokens_decoder ?? {});
    for (const [index, token] of table.entries()) if (chosen(dice, index)) token.special = !token.special;
  },
  "named in the configuration only": ({ tokenizer, config }, dice) => {
    const named = new Set(namesOf(config));
    const gone = tokenizer.added_tokens.filter(({ content }, index) => named.has(content) && chosen(dice, index));
    // All stand in the vocabulary: the library counts on from its size for those that do not.
    for (const { id, content } of tokenizer.added_tokens) tokenizer.model.vocab[content] = id;
    tokenizer.added_tokens = tokenizer.added_tokens.filter((token) => !gone.includes(token));
    const table = Object.entries(config.added_tokens_decoder ?? {});
    const left = table.filter(([, { content }]) => gone.every((token) => token.content !== content));
    if (config.added_tokens_decoder !== undefined) config.added_tokens_decoder = Object.fromEntries(left);
  },
  "names in special_tokens_map.json": ({ config, map }) => {
    for (const role of ["bos_token", "eos_token", "unk_token", "pad_token"]) {
      if (config[role] === null || config[role] === undefined) continue;
      map[role] = config[role];
      delete config[role];
    }
    delete config.added_tokens_decoder;
  },
  "no added_tokens_decoder": ({ config }) => delete config.added_tokens_decoder,
};

function namesOf(config: Files["config"]): string[] {
  const lists = [
    config.additional_special_tokens ?? [],
    ...Object.entries(config).flatMap(([key, value]) => (key.endsWith("_token") ? [value] : [])),
  ];
  return lists.flat().flatMap((name) => (typeof name === "string" ? [name] : []));
}

async function edited(folder: string, edit: (files: Files) => void): Promise<string> {
  const read = async (name: string) => JSON.parse(await readFile(join(folder, name), "utf8"));
  const files: Files = {
    tokenizer: await read("tokenizer.json"),
    config: await read("tokenizer_config.json"),
    map: {},
    hasTokenizer: true,
  };
  edit(files);
  const copy = await mkdtemp(join(tmpdir(), "fusechat-mutated-"));
  const write = (name: string, value: unknown) => writeFile(join(copy, name), JSON.stringify(value));
  await write("tokenizer_config.json", files.config);
  if (Object.keys(files.map).length > 0) await write("special_tokens_map.json", files.map);
  if (files.hasTokenizer) await write("tokenizer.json", files.tokenizer);
  if (existsSync(join(folder, "tokenizer.model"))) {
    await copyFile(join(folder, "tokenizer.model"), join(copy, "tokenizer.model"));
  }
  return copy;
}

/** Special in one of the files, or named by one. */
function specialOf({ tokenizer, config, map }: Files): Set<string> {
  const marked = [...tokenizer.added_tokens, ...Object.values(config.added_tokens_decoder ?? {})].filter(
    ({ special }) => special,
  );
  return new Set([...marked.map(({ content }) => content), ...namesOf(config), ...namesOf(map)]);
}

const ids = async (tokenizer: Tokenizer, texts: readonly string[]) =>
  (await tokenizer.encodeBatch(texts)).map(({ ids, byteEnd }) => [[...ids], [...byteEnd]]);

async function check(folder: string, runs: number): Promise<void> {
  const whole: Added[] = JSON.parse(await readFile(join(folder, "tokenizer.json"), "utf8")).added_tokens;
  const spelled = whole.map(({ content }) => content);
  const texts = [...fc.sample(hardText, { numRuns: 40, seed: 8 }), spelled.join("a"), spelled.join(" ")];
  const expected = await ids(await loadTokenizer(folder), texts);
  const mixture = fc.subarray(Object.keys(EDITS), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(mixture, fc.array(fc.nat(99), { minLength: 1, maxLength: 8 }), async (names, dice) => {
      let special = new Set<string>();
      const copy = await edited(folder, (files) => {
        for (const name of names) EDITS[name]!(files, dice);
        special = specialOf(files);
      });
      try {
        const tokenizer = await loadTokenizer(copy);
        expect(await ids(tokenizer, texts)).toEqual(expected);
        for (const { id, content } of whole) {
          expect([content, tokenizer.isAdded(id), tokenizer.isSpecial(id)]).toEqual([
            content,
            true,
            special.has(content),
          ]);
        }
      } finally {
        await rm(copy, { recursive: true });
      }
    }),
    { numRuns: runs, seed: 12 },
  );
}

test.each(["mistral", "qwen2", "phi3", "gemma2"])("edits of the golden model %s change no id", async (name) => {
  await check(join(GOLDEN_MODELS, name), 8);
});

test.runIf(existsSync(PUBLISHED)).each(["openchat-3.5", "smollm2"])(
  "edits of the published %s change no id",
  async (name) => {
    await check(join(PUBLISHED, name), 2);
  },
);

test.runIf(existsSync(PUBLISHED)).each(["internlm2-chat", "mistral-7b-v0.1"])(
  "%s without tokenizer.json keeps its ids, whatever flags the configuration has",
  async (name) => {
    const folder = join(PUBLISHED, name);
    const texts = fc.sample(hardText, { numRuns: 40, seed: 8 });
    const copy = await edited(folder, (files) => {
      EDITS["flags of the configuration flipped"]!(files, [1]);
      files.hasTokenizer = false;
    });
    try {
      expect(await ids(await loadTokenizer(copy), texts)).toEqual(await ids(await loadTokenizer(folder), texts));
    } finally {
      await rm(copy, { recursive: true });
    }
  },
);

tellMissing(existsSync(PUBLISHED), "published folders are not edited");
