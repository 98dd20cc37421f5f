/** What a survey has to know of tokens of white space alone (`lone-space.ts`): the texts that they make, and which the pivot writes. */
import type { CoStartCounter } from "../co-starts.ts";
import type { LeadSwaps } from "../leads.ts";
import type { Part } from "../paired-conversations.ts";
import type { TokenBytes } from "../units/shared-vocabulary.ts";
import { isWhole } from "../within/within.ts";
import { spaceBefore } from "./following.ts";
import { createJoinedReader, type JoinedReader } from "./joined-reader.ts";
import { loneSpaces, type SpaceTokens } from "./lone-space.ts";

export interface SpaceSurvey extends SpaceTokens {
  /** Spaces that the pivot has written before other tokens. */
  readonly written: ReadonlySet<number>;
  /** Notes these of a conversation; gives the reader of its rows. */
  begin(pivot: Part, source: Part): JoinedReader;
  /** Reads a shared row whose source label is a space, and counts what its texts begin with; returns its entries, or 0 for another row. */
  read(joined: JoinedReader, pivot: Part, row: number, source: Part, sourceRow: number): number;
}

export function createSpaceSurvey(
  pivotVocabulary: TokenBytes,
  sourceVocabulary: TokenBytes,
  swaps: LeadSwaps,
  texts: CoStartCounter,
): SpaceSurvey {
  const spaces = { pivot: loneSpaces(pivotVocabulary), source: loneSpaces(sourceVocabulary) };
  const written = new Set<number>();
  return {
    ...spaces,
    written,
    begin: (pivot, source) => {
      for (let row = pivot.from; row < pivot.to; row++) {
        const space = spaceBefore(pivot, row, spaces.pivot);
        if (space >= 0) written.add(space);
      }
      return createJoinedReader(swaps, sourceVocabulary, spaces.source, pivot, source);
    },
    read: (joined, pivot, row, source, sourceRow) => {
      const behind = joined.read(row, sourceRow);
      if (behind === null) return 0;
      const label = pivot.side.shard.token[row]!;
      if (spaces.pivot[label] === 1 || isWhole(pivot, row, pivotVocabulary)) {
        // Before a response the space alone is a text too, which all that come behind it begin with.
        const lead = swaps.beginning(pivot.side, row, source.side, sourceRow);
        const space = lead?.textOf(source.side.shard.token[sourceRow]!) ?? -1;
        if (space >= 0) texts.add(space, label);
        if (behind.label >= sourceVocabulary.size) texts.add(behind.label - sourceVocabulary.size, label);
      }
      return behind.length;
    },
  };
}
