/**
 * A source's distribution at a row where its label is a space alone (`lone-space.ts`), as told by what follows the space:
 * the tokens of the source's row but that space, and those of its next row with the space before them and with the
 * product of both probabilities; and so on while the label is a space. The texts that arise are placed like any token.
 */
import { MINUS_INFINITY } from "../../distributions/shard-columns.ts";
import { halfToNumber } from "../../formats/float.ts";
import type { LeadSwap, LeadSwaps } from "../leads.ts";
import { negativeHalf } from "../negative-half.ts";
import type { Part } from "../paired-conversations.ts";
import type { TokenBytes } from "../units/shared-vocabulary.ts";

/** Spaces in a row that are looked behind. */
const MOST_SPACES = 3;

export interface JoinedRow {
  /** Entries of the lists. */
  readonly length: number;
  /** Rows of the source that are spaces and were looked behind, and the logarithm of what their labels have together. */
  readonly spaces: number;
  readonly logp: number;
  /** What the map knows the label's first token behind the spaces by, with them before it; -1: nothing. */
  readonly label: number;
}

export interface JoinedReader {
  /** [(MOST_SPACES + 1) K + 1] what the map knows the entries by; after the last one there is no mass. */
  readonly sources: Int32Array;
  /** Their float16 log-probabilities, in no order. */
  readonly logp: Uint16Array;
  /** Which of the K stored tokens of the source's row each entry begins with. */
  readonly origin: Int32Array;
  /** Reads the pivot's row from the source's; null where the source's label is no space or nothing is behind it. */
  read(row: number, sourceRow: number): JoinedRow | null;
}

export function createJoinedReader(
  swaps: LeadSwaps,
  vocabulary: TokenBytes,
  isSpace: Uint8Array,
  pivot: Part,
  source: Part,
): JoinedReader {
  const { shard, spans } = source.side;
  const { topId, topLogp, token, labelLogp, metadata } = shard;
  const { topK } = metadata;
  const room = (MOST_SPACES + 1) * topK + 1;
  const sources = new Int32Array(room);
  const logp = new Uint16Array(room);
  const origin = new Int32Array(room);

  const goesOn = (j: number): boolean =>
    j < source.to && spans.turn[j] === spans.turn[j - 1] && spans.endOfTurn[j] === 0;
  const spacesAt = (there: number): number => {
    let spaces = 0;
    while (spaces < MOST_SPACES && isSpace[token[there + spaces]!] === 1 && goesOn(there + spaces + 1)) spaces++;
    return spaces;
  };
  const placeOfLabel = (j: number): number => {
    for (let k = 0; k < topK && topLogp[j * topK + k] !== MINUS_INFINITY; k++) {
      if (topId[j * topK + k] === token[j]) return k;
    }
    return -1;
  };
  const knownAs = (id: number, swap: LeadSwap | null): number => {
    if (swap === null || vocabulary.special[id] === 1) return id;
    const text = swap.textOf(id);
    return text < 0 ? -1 : vocabulary.size + text;
  };

  return {
    sources,
    logp,
    origin,
    read: (row, there) => {
      const spaces = spacesAt(there);
      if (spaces === 0) return null;
      let length = 0;
      let before = 0;
      let begun = -1;
      for (let behind = 0; behind <= spaces; behind++) {
        const j = there + behind;
        const swap = swaps.behind(pivot.side, row, source.side, there, behind);
        for (let k = 0; k < topK && topLogp[j * topK + k] !== MINUS_INFINITY; k++) {
          const id = topId[j * topK + k]!;
          if (behind < spaces && id === token[j]) continue;
          sources[length] = knownAs(id, swap);
          origin[length] = behind === 0 ? k : begun;
          logp[length++] = negativeHalf(before + halfToNumber(topLogp[j * topK + k]!));
        }
        if (behind === spaces) {
          logp[length] = MINUS_INFINITY;
          return { length, spaces, logp: before, label: knownAs(token[j]!, swap) };
        }
        const place = placeOfLabel(j);
        if (behind === 0) begun = place;
        // Of a drawn row what fell on the space counts, so that the mean over draws is the product.
        if (metadata.rows !== "sampled") before += labelLogp[j]!;
        else before += place < 0 ? Number.NEGATIVE_INFINITY : halfToNumber(topLogp[j * topK + place]!);
        if (before === Number.NEGATIVE_INFINITY) break;
      }
      logp[length] = MINUS_INFINITY;
      return { length, spaces, logp: before, label: -1 };
    },
  };
}
