import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { createTokenTable } from "#src/tokenizer/token-table.js";
import { openTokenWorker } from "#src/tokenizer/token-work.js";
import { tellMissing } from "../shared.ts";
import { editedFolder, GOLDEN_MODELS } from "./edited-folder.ts";

const PUBLISHED = resolve(import.meta.dirname, "../../../shared/data/tokenizers/smollm2");
const TEXTS = [" Hello world", "é", "", " 201"].map((text) => Buffer.from(text)).concat(Buffer.of(0xc3));

tellMissing(existsSync(PUBLISHED), "no large tokenizer was read");

const folders = [join(GOLDEN_MODELS, "qwen2"), join(GOLDEN_MODELS, "mistral"), PUBLISHED];
test.each(folders.filter((folder) => existsSync(folder)))("%s is read as the tokenizer reads it", async (folder) => {
  const tokenizer = await loadTokenizer(folder);
  const { work, dispose } = await openTokenWorker(folder);
  try {
    const table = createTokenTable(await work.table(folder));
    expect([table.size, table.sha256]).toEqual([tokenizer.size, tokenizer.sha256]);
    for (let id = 0; id < table.size; id += 97) {
      expect(table.tokenBytes(id)).toEqual(tokenizer.tokenBytes(id));
      expect([table.tokenText(id), table.isSpecial(id)]).toEqual([tokenizer.tokenText(id), tokenizer.isSpecial(id)]);
    }
    const first = await work.firstTokens({ folder, texts: TEXTS });
    expect(first).toEqual(await Promise.all(TEXTS.map((text) => tokenizer.firstTokenOf(text))));
    expect(first[2]).toBe(-1);
  } finally {
    await dispose();
  }
});

test.each([
  ["in this thread", 0],
  ["in a thread of its own", 2_000_000],
])("what a file has wrong is told by its path, %s", async (_, padding) => {
  const folder = await editedFolder("qwen2", (file) => {
    file.model.type = "WordPiece";
    file.model.note = "-".repeat(padding);
  });
  const { work, dispose } = await openTokenWorker(folder);
  try {
    await expect(work.table(folder)).rejects.toMatchObject({
      exitCode: 2,
      message: `${join(folder, "tokenizer.json")}: a WordPiece model is not supported: only BPE models say which bytes a token stands for`,
    });
  } finally {
    await dispose();
    await rm(folder, { recursive: true });
  }
});
