/** A source's distribution at a shared row, as the transfer takes it: what its tokens are known by, and what is known of the label. */
import { chainLabel, type LabelShare, labelTokens } from "./label-mass.ts";
import type { LeadSwap } from "./leads.ts";
import type { Part } from "./paired-conversations.ts";
import type { PartPlan } from "./part-plan.ts";
import { createJoinedReader } from "./spaces/joined-reader.ts";
import type { TokenBytes } from "./units/shared-vocabulary.ts";

/** A distribution as the transfer takes it. */
export interface Entries {
  /** What the map knows the stored tokens by; -1 has no place. */
  readonly sources: Int32Array;
  /** Their float16 log-probabilities, from `at` on; without mass after the last. */
  readonly logp: Uint16Array;
  readonly at: number;
  /** Which of the row's stored tokens each begins with; null where they are these. */
  readonly origin: Int32Array | null;
}

/** What the map knows the source's tokens of a shared row by. */
export interface RowReader {
  /** Of the row read last, in the order of its stored tokens. */
  readonly entries: Entries;
  /** Reads a pivot row and its source row; turns the preference to it. Returns what is known of the label, if anything. */
  read(row: number, sourceRow: number): LabelShare | null;
}

export function createRowReader(
  { swaps, sourceVocabulary, map, labelMass, preference, spaces }: PartPlan,
  pivot: Part,
  source: Part,
): RowReader {
  const from = source.side.shard;
  const { topId, topLogp } = from;
  const { topK } = from.metadata;
  const sources = new Int32Array(topK);
  const share: LabelShare = { source: 0, pivot: 0, stored: false, mass: 0, rest: 0 };
  const joined = spaces && createJoinedReader(swaps, sourceVocabulary, spaces.source, pivot, source);
  let entries: Entries = { sources, logp: topLogp, at: 0, origin: null };
  const knownAs = (id: number, swap: LeadSwap | null): number =>
    swap === null ? id : swappedSource(swap, id, sourceVocabulary);
  /** What the label's first token behind so many spaces is known by, and the logarithm of what these have. */
  const chained = (row: number, there: number, first: number, behind = 0, before = 0): boolean => {
    const tokens = labelTokens(pivot.side.spans, row, source.side.spans, there, source.to) - behind;
    const label = pivot.side.shard.token[row]!;
    return tokens > 0 && first >= 0 && chainLabel(share, label, first, from, there + behind, tokens, map, before);
  };
  const hasLabel = labelMass === "chain";
  return {
    get entries() {
      return entries;
    },
    read: (row, there) => {
      preference?.read(pivot.side.shard, row);
      const behind = joined?.read(row, there) ?? null;
      if (behind !== null) {
        entries = { sources: joined!.sources, logp: joined!.logp, at: 0, origin: joined!.origin };
        return hasLabel && chained(row, there, behind.label, behind.spaces, behind.logp) ? share : null;
      }
      const at = there * topK;
      entries = { sources, logp: topLogp, at, origin: null };
      const swap = swaps.between(pivot.side, row, source.side, there);
      for (let k = 0; k < topK; k++) sources[k] = topId[at + k]!;
      if (swap !== null) for (let k = 0; k < topK; k++) sources[k] = knownAs(sources[k]!, swap);
      else if (spaces !== null) nameSpaces(sources, row, there);
      return hasLabel && chained(row, there, knownAs(from.token[there]!, swap)) ? share : null;
    },
  };

  /** Where both begin a response with the same lead, a space of the source is all of its lead and says nothing of a word. */
  function nameSpaces(ids: Int32Array, row: number, there: number): void {
    const swap = swaps.beginning(pivot.side, row, source.side, there);
    if (swap === null || spaces!.source[from.token[there]!] === 1) return;
    for (let k = 0; k < topK; k++) if (spaces!.source[ids[k]!] === 1) ids[k] = knownAs(ids[k]!, swap);
  }
}

/** The source of the map for a token with another lead: special tokens keep theirs, as they have no bytes. */
function swappedSource(swap: LeadSwap, id: number, vocabulary: TokenBytes): number {
  if (vocabulary.special[id] === 1) return id;
  const text = swap.textOf(id);
  return text < 0 ? -1 : vocabulary.size + text;
}
