/**
 * `exact`: the pivot token with the same bytes, else no place. The papers' EM (FuseLLM, section 3.3), on bytes instead
 * of spellings, so that it does not matter how a tokenizer writes a space.
 */
import { oneToOne } from "../sparse-map.ts";
import type { Vocabulary } from "../vocabulary.ts";
import type { TokenText, VocabularyStrategy } from "./strategy.ts";

export const exact: VocabularyStrategy = {
  name: "exact",
  summary: "the pivot token with the same bytes, else no place",
  source: "FuseLLM (Wan et al., ICLR 2024), exact match",
  needsCounts: false,
  costly: false,
  place: async (texts, { pivot }) => oneToOne(equalBytes(texts, pivot)),
};

/** [texts] the pivot token with the same bytes, or -1. */
export function equalBytes(texts: readonly TokenText[], pivot: Vocabulary): Int32Array {
  return Int32Array.from(texts, ({ bytes }) => pivot.find(bytes));
}
