/**
 * `prefix`: the pivot token with the same bytes, else the first token that the pivot writes for the source token's
 * text in running text. What the pivot would begin to say, when the source says the whole of it.
 */
import { oneToOne } from "../sparse-map.ts";
import { equalBytes } from "./exact.ts";
import type { StrategyInput, TokenText, VocabularyStrategy } from "./strategy.ts";

/** Texts handed to the tokenizer at once: each time it is made anew of what they need. */
const BATCH = 16_384;

export const prefix: VocabularyStrategy = {
  name: "prefix",
  summary: "equal bytes, else the first pivot token of the source token's text",
  source: "fusechat",
  needsCounts: false,
  costly: false,
  place: async (texts, input) => oneToOne(await equalOrFirst(texts, input)),
};

/** [texts] the pivot token with the same bytes, else the first of its encoding, else -1. */
export async function equalOrFirst(texts: readonly TokenText[], input: StrategyInput): Promise<Int32Array> {
  const result = equalBytes(texts, input.pivot);
  const open: number[] = [];
  texts.forEach(({ bytes }, i) => {
    if (result[i] === -1 && bytes.length > 0) open.push(i);
  });
  for (let from = 0; from < open.length; from += BATCH) {
    const batch = open.slice(from, from + BATCH);
    const first = await Promise.all(batch.map((i) => input.firstPivotToken(texts[i]!.bytes)));
    batch.forEach((i, k) => {
      result[i] = first[k]!;
    });
  }
  return result;
}
