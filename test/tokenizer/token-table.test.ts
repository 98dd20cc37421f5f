import { existsSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Tokenizer as Library } from "tokenizers";
import { describe, expect, test } from "vitest";
import { createTokenTable, readTokenTableParts } from "#src/tokenizer/token-table.js";
import { tellMissing } from "../shared.ts";
import { editedFolder, GOLDEN_MODELS, type TokenizerFile } from "./edited-folder.ts";

const PUBLISHED = resolve(import.meta.dirname, "../../../shared/data/tokenizers");
/** Of each kind of published tokenizer one, and all of ours. */
const KINDS = ["internlm2-chat", "phi-3-mini", "smollm2"];
const folders = [
  ...readdirSync(GOLDEN_MODELS).map((name) => join(GOLDEN_MODELS, name)),
  ...(existsSync(PUBLISHED) ? KINDS.map((name) => join(PUBLISHED, name)) : []),
];

tellMissing(existsSync(PUBLISHED), "published tokens are not compared");

test.each(folders)("the tokens of %s are spelt as the library spells them", async (folder) => {
  const table = createTokenTable(await readTokenTableParts(folder));
  const library = Library.fromFile(join(folder, "tokenizer.json"));
  const unlike: [number, string | null, string | null][] = [];
  for (let id = 0; id < table.size; id++) {
    const theirs = library.idToToken(id);
    const ours = table.tokenText(id);
    // The library names a normalised added token as its normaliser leaves it: `▁</s>`, where the file says `</s>`.
    const named = ours !== null && theirs === `▁${ours}` && library.tokenToId(ours) === id;
    if (theirs !== null && ours !== theirs && !named) unlike.push([id, ours, theirs]);
  }
  expect(unlike).toEqual([]);
  expect([table.tokenText(-1), table.tokenText(table.size), table.tokenText(0.5)]).toEqual([null, null, null]);
});

describe("added tokens", () => {
  const refused = async (edit: (file: TokenizerFile, config: Record<string, unknown>) => void): Promise<string> => {
    const folder = await editedFolder("qwen2", edit);
    try {
      const error: unknown = await readTokenTableParts(folder).catch((caught: unknown) => caught);
      return error instanceof Error ? error.message.replace(folder, "") : "nothing is refused";
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  test("take no id of a piece, wherever they are listed", async () => {
    let piece = "";
    const message = await refused(({ model }, config) => {
      piece = Object.entries(model.vocab).find(([, id]) => id === 40)![0];
      config.added_tokens_decoder = { 40: { content: "<evil>", special: true } };
    });
    expect(message).toBe(
      `/tokenizer.json: the added token "<evil>" has the id 40, but ${JSON.stringify(piece)} has 40`,
    );
  });

  test("have one id each", async () => {
    const message = await refused((file) => {
      file.added_tokens.push({ id: 9999, content: file.added_tokens[0]!.content, special: true });
    });
    expect(message).toMatch(/^\/tokenizer\.json: the added token "[^"]+" has the id \d+, but "[^"]+" has 9999$/);
  });

  test("with an id that no vocabulary has are left out", async () => {
    const message = await refused((_, config) => {
      config.added_tokens_decoder = { 4000000000: { content: "<far>", special: true } };
    });
    expect(message).toBe("nothing is refused");
  });
});
