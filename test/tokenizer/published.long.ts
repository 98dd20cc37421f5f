/** Published tokenizers, all fourteen, against the reference's ids and spans. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { readSafetensors } from "#src/formats/safetensors.js";
import { tellMissing } from "../shared.ts";
import { publishedTokenizer } from "./published.ts";

const SHARED = resolve(import.meta.dirname, "../../../shared");
const hasShared = existsSync(join(SHARED, "data"));

describe.runIf(hasShared)("published tokenizers", () => {
  interface GoldenSpans {
    tokenizer: string;
    label: string;
    text: string;
    ids: number[];
    byte_start: number[];
    byte_end: number[];
  }

  test("have the golden ids and spans on all 210 texts", async () => {
    const lines = readFileSync(join(SHARED, "golden/align/spans.jsonl"), "utf8").trim().split("\n");
    const cases = lines.map((line): GoldenSpans => JSON.parse(line));
    expect(cases.length).toBe(210);
    for (const name of new Set(cases.map((one) => one.tokenizer))) {
      const tokenizer = await publishedTokenizer(name);
      for (const one of cases.filter(({ tokenizer: of }) => of === name)) {
        const { ids, byteStart, byteEnd } = await tokenizer.encode(one.text);
        expect([one.label, [...ids], [...byteStart], [...byteEnd]]).toEqual([
          one.label,
          one.ids,
          one.byte_start,
          one.byte_end,
        ]);
      }
    }
  });

  test.each([
    ["openchat-3.5", "smollm2"],
    ["qwen2.5", "openchat-3.5"],
  ])("%s begins the texts of %s's tokens as the golden maps say", async (pivotName, sourceName) => {
    const { tensors } = await readSafetensors(join(SHARED, "golden/align/maps.safetensors"));
    const column = (name: string) => tensors.get(`${pivotName}.${sourceName}.${name}`)!.data as Int32Array;
    const pivot = await publishedTokenizer(pivotName);
    const source = await publishedTokenizer(sourceName);
    const exact = column("exact");
    const found = await Promise.all(
      [...column("token")].map(async (id, index) => {
        const bytes = source.tokenBytes(id);
        return bytes === null || exact[index]! >= 0 ? -1 : await pivot.firstTokenOf(bytes);
      }),
    );
    expect(found).toEqual([...column("prefix")]);
  });
});

tellMissing(hasShared, "published tokenizers are not compared");
