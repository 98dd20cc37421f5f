/** A conversation as both folders of an alignment have it, and the check that it is one and the same. */
import type { ShardOfFolder } from "../distributions/read-folder.ts";
import { inputError } from "../errors.ts";
import type { RowSpans, SequenceAlignment } from "./sequence.ts";

/** A shard with the roles of its rows. */
export interface Side extends ShardOfFolder {
  readonly spans: RowSpans;
}

/** A conversation of a side: rows `from .. to-1`. */
export interface Part {
  readonly side: Side;
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/** Conversation `index` of a side. */
export function part(side: Side, index: number): Part {
  return { side, index, from: side.shard.rowStart[index]!, to: side.shard.rowStart[index + 1]! };
}

/** Aligns the rows of a conversation: `out` gets a source row, or -1, for each of the pivot's; returns how many have one. */
export function alignParts({ align }: SequenceAlignment, pivot: Part, source: Part, out: Int32Array): number {
  return align(pivot.side.spans, pivot.from, pivot.to, source.side.spans, source.from, source.to, out);
}

/**
 * Refuses two parts that cannot come from the same conversation. Its text is in neither shard, but what both know of
 * it must agree: the turn that is answered first, the length of each response that both finished, and the bytes.
 */
export function checkSameConversation(pivot: Part, source: Part): void {
  const conversation = pivot.side.shard.conversation[pivot.index]!;
  const differ = (what: string, there: number, here: number): Error =>
    inputError(
      source.side.path,
      `conversation ${conversation}: ${what} ${there}, and ${here} for the pivot; the two folders were made from different data`,
    );
  const a = pivot.side.spans;
  const b = source.side.spans;
  let i = pivot.from;
  let j = source.from;
  let whole = true;
  while (i < pivot.to && j < source.to) {
    const turn = a.turn[i]!;
    const sourceTurn = b.turn[j]!;
    if ((turn - sourceTurn) % 2 !== 0) throw differ("answers come in turns like", sourceTurn, turn);
    if (turn !== sourceTurn) {
      // A response without a row of its own: an empty one that the template does not close.
      whole = false;
      if (turn < sourceTurn) i++;
      else j++;
      continue;
    }
    while (i + 1 < pivot.to && a.turn[i + 1] === turn) i++;
    while (j + 1 < source.to && b.turn[j + 1] === turn) j++;
    // Now the last rows of the turn: an end-of-turn row tells the whole length, another one how far the tokens reach.
    const ended = a.endOfTurn[i]! + 2 * b.endOfTurn[j]!;
    const length = a.byteEnd[i]!;
    const sourceLength = b.byteEnd[j]!;
    const fits =
      ended === 3
        ? sourceLength === length
        : ended === 1
          ? sourceLength <= length
          : ended !== 2 || length <= sourceLength;
    if (!fits) throw differ(`turn ${turn} has bytes`, sourceLength, length);
    whole &&= ended === 3;
    i++;
    j++;
  }
  const bytes = pivot.side.shard.bytes[pivot.index]!;
  const sourceBytes = source.side.shard.bytes[source.index]!;
  if (whole && i === pivot.to && j === source.to && bytes !== sourceBytes) {
    throw differ("its responses have bytes", sourceBytes, bytes);
  }
}
