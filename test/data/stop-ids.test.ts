import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { readStopIds } from "#src/data/stop-ids.js";
import { openConversationTokeniser } from "#src/data/tokenise.js";

const MODELS = resolve(import.meta.dirname, "../golden/models");

test.each([
  // The files name what ends a plain text; the template ends an answer with another token.
  ["gemma2", ["<eos>", "<end_of_turn>"]],
  ["phi3", ["<|endoftext|>", "<|end|>"]],
  ["qwen2", ["<|im_end|>"]],
])("an answer of %s ends with %j", async (name, expected) => {
  const folder = join(MODELS, name);
  const tokeniser = await openConversationTokeniser(folder, { maxLength: 100 });
  try {
    const ids = await readStopIds(folder, tokeniser);
    expect(ids.map((id) => tokeniser.tokenizer.tokenText(id))).toEqual(expected);
  } finally {
    await tokeniser.dispose();
  }
});
