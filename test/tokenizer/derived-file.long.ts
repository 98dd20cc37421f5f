/** Published models with their `tokenizer.json` taken away: what is derived from `tokenizer.model` must equal it. */
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { tellMissing } from "../shared.ts";
import { hardText } from "./hard-text.ts";
import { PUBLISHED, publishedTokenizer } from "./published.ts";

describe.runIf(existsSync(PUBLISHED))("published models", () => {
  test.each(["internlm2-chat", "llama-2", "mistral-7b-v0.1", "yi-34b-chat"])(
    "%s without its tokenizer.json has the ids of the file",
    async (name) => {
      const folder = await mkdtemp(join(tmpdir(), "fusechat-model-"));
      for (const file of ["tokenizer.model", "tokenizer_config.json"]) {
        await copyFile(join(PUBLISHED, name, file), join(folder, file));
      }
      const derived = await loadTokenizer(folder);
      const published = await publishedTokenizer(name);
      const spans = await readFile(resolve(PUBLISHED, "../../golden/align/spans.jsonl"), "utf8");
      const golden = spans
        .trim()
        .split("\n")
        .map((line): { text: string } => JSON.parse(line));
      const texts = [...new Set(golden.map(({ text }) => text)), ...fc.sample(hardText, { numRuns: 300, seed: 9 })];
      const expected = await published.encodeBatch(texts);
      for (const [index, encoding] of (await derived.encodeBatch(texts)).entries()) {
        expect([texts[index], [...encoding.ids]]).toEqual([texts[index], [...expected[index]!.ids]]);
        expect(encoding.byteEnd).toEqual(expected[index]!.byteEnd);
      }
      expect(derived.size).toBe(published.size);
      const special = (tokenizer: typeof derived) =>
        Array.from({ length: tokenizer.size }, (_, id) => id).filter((id) => tokenizer.isSpecial(id));
      expect(special(derived)).toEqual(special(published));
      await rm(folder, { recursive: true });
    },
  );
});

tellMissing(existsSync(PUBLISHED), "published models are not compared");
