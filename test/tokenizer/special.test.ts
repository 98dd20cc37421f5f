import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readSpecialTokens } from "#src/tokenizer/special.js";
import { GOLDEN_MODELS } from "./edited-folder.ts";

async function folderWith(files: Record<string, unknown>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-special-"));
  for (const [name, value] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(value));
  return folder;
}

test("the golden models' special tokens are found", async () => {
  expect(await readSpecialTokens(join(GOLDEN_MODELS, "gemma2"))).toEqual({ bos: 2, eos: 1, stopIds: [1] });
  expect(await readSpecialTokens(join(GOLDEN_MODELS, "qwen2"))).toEqual({ bos: null, eos: 408, stopIds: [408] });
});

test("generation ends at the eos of any file, the tokenizer's first", async () => {
  const folder = await folderWith({
    "tokenizer_config.json": {
      bos_token: null,
      eos_token: { content: "<e>" },
      added_tokens_decoder: { 7: { content: "<e>" } },
    },
    "generation_config.json": { bos_token_id: 3, eos_token_id: [9, 7] },
    "config.json": { eos_token_id: 11 },
  });
  expect(await readSpecialTokens(folder)).toEqual({ bos: 3, eos: 7, stopIds: [7, 9, 11] });
});

test("a token's id is looked up in tokenizer.json where the config does not list it", async () => {
  const folder = await folderWith({
    "tokenizer_config.json": { bos_token: "<a>", eos_token: "<b>" },
    "tokenizer.json": { added_tokens: [{ id: 4, content: "<a>" }], model: { type: "BPE", vocab: { "<b>": 5 } } },
  });
  expect(await readSpecialTokens(folder)).toEqual({ bos: 4, eos: 5, stopIds: [5] });
});

test("the id of the tokenizer counts before another that the configuration has for the token", async () => {
  const folder = await folderWith({
    "tokenizer_config.json": { eos_token: "<b>", added_tokens_decoder: { 40: { content: "<b>" } } },
    "tokenizer.json": { added_tokens: [{ id: 4, content: "<b>" }], model: { type: "BPE", vocab: {} } },
  });
  expect((await readSpecialTokens(folder)).eos).toBe(4);
});

test("an empty folder has none, and a wrong field is named", async () => {
  expect(await readSpecialTokens(await folderWith({}))).toEqual({ bos: null, eos: null, stopIds: [] });
  const folder = await folderWith({ "config.json": { eos_token_id: "two" } });
  await expect(readSpecialTokens(folder)).rejects.toThrow(/config\.json: eos_token_id: /);
});
