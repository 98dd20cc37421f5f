/**
 * What a vocabulary strategy is: a rule that says which pivot tokens take over the mass of a source token. Strategies
 * see bytes and counts only; end of turn goes to end of turn by its role, and no other special token has a place.
 */
import type { CoStarts } from "../co-starts.ts";
import type { SparseMap } from "../sparse-map.ts";
import type { Vocabulary } from "../vocabulary.ts";

/** A text to be placed, and the row of the counts that speaks of it, or -1: that of the token, or of the text itself. */
export interface TokenText {
  readonly bytes: Uint8Array;
  readonly source: number;
}

export interface StrategyInput {
  readonly pivot: Vocabulary;
  /** The first pivot token of these bytes in running text, or -1. */
  firstPivotToken(bytes: Uint8Array): Promise<number>;
  /** Counts over the corpus, by source id; after all ids come texts, by their index. */
  readonly counts: CoStarts;
}

export interface VocabularyStrategy {
  readonly name: string;
  /** One line for `list strategies`. */
  readonly summary: string;
  /** Where the rule comes from. */
  readonly source: string;
  /** True where the map depends on counts over the corpus. */
  readonly needsCounts: boolean;
  /** True where building the map takes long: `alignment.json` then has its figures only when it is the one used. */
  readonly costly: boolean;
  /** The places of every text, in order. */
  place(texts: readonly TokenText[], input: StrategyInput): Promise<SparseMap>;
}
