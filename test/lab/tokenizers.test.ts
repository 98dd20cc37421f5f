import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openConversationTokeniser } from "#src/data/tokenise.js";
import { drawConversations } from "#src/lab/conversations.js";
import { writeModelFiles } from "#src/lab/model-folder.js";
import { LAB_MODELS } from "#src/lab/models/index.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { readSpecialTokens } from "#src/tokenizer/special.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-lab-"));
  for (const model of LAB_MODELS) await writeModelFiles(model, join(folder, model.name));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const conversations = drawConversations("tokenizer test", 60);

describe.each(LAB_MODELS)("$name", (model) => {
  test("decoding the tokens of a text gives the text back, bytes outside the alphabet included", async () => {
    const tokenizer = await loadTokenizer(join(folder, model.name));
    const texts = [...conversations.flatMap(({ turns }) => turns.map((turn) => turn.content)), "Zoë 🙂 {x}\n\ty"];
    for (const [index, encoding] of (await tokenizer.encodeBatch(texts)).entries()) {
      // A dummy prefix is a space of its own: only in the middle of a conversation does it stand for one of the text.
      expect(tokenizer.decode(encoding.ids)).toBe(`${model.tokenizer.dummyPrefix ? " " : ""}${texts[index]}`);
      expect(encoding.byteEnd.at(-1)).toBe(Buffer.byteLength(texts[index]!));
    }
  });

  test("the vocabulary has the size that was asked for", async () => {
    const tokenizer = await loadTokenizer(join(folder, model.name));
    expect(tokenizer.size).toBe(model.tokenizer.vocabularySize);
  });

  test("every assistant turn has rows from its first byte to an end-of-turn row", async () => {
    const tokeniser = await openConversationTokeniser(join(folder, model.name), { maxLength: 256 });
    const { stopIds } = await readSpecialTokens(join(folder, model.name));
    for (const [index, tokenised] of (await tokeniser.tokenise(conversations, 0)).entries()) {
      if ("refused" in tokenised) throw new Error(tokenised.refused);
      const { turns } = conversations[index]!;
      for (let turn = 1; turn < turns.length; turn += 2) {
        const rows = [...tokenised.rows.turn.keys()].filter((row) => tokenised.rows.turn[row] === turn);
        const length = Buffer.byteLength(turns[turn]!.content);
        expect(tokenised.rows.byteStart[rows[0]!]).toBe(0);
        expect(tokenised.rows.byteStart[rows.at(-1)!]).toBe(length);
        expect(tokenised.rows.byteEnd[rows.at(-1)!]).toBe(length);
        expect(stopIds).toContain(tokenised.ids[tokenised.rows.position[rows.at(-1)!]!]);
      }
    }
    await tokeniser.dispose();
  });
});

test("one tokenizer splits numbers into digits, another packs them", async () => {
  const split = await loadTokenizer(join(folder, "lab-qwen2"));
  const packed = await loadTokenizer(join(folder, "lab-llama"));
  const text = " coins 11";
  expect((await split.encode(text)).ids.length).toBeGreaterThan((await packed.encode(text)).ids.length);
});
