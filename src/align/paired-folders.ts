/**
 * The two folders of an alignment, walked together: the pivot's shards in order, and beside each of its conversations
 * the source's, found by the index in the prepared data. Shards may be cut differently on the two sides, and either
 * model may have refused conversations. One shard a side is in memory.
 */
import { readDistributions, type ShardOfFolder } from "../distributions/read-folder.ts";
import { inputError } from "../errors.ts";
import { type RowSpans, rowSpans } from "./sequence.ts";
import type { Vocabulary } from "./vocabulary.ts";

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

export interface FolderPair {
  readonly pivot: string;
  readonly source: string;
  readonly pivotVocabulary: Vocabulary;
  readonly sourceVocabulary: Vocabulary;
}

/** Every shard of the pivot in turn, with a function that finds the source's part of a conversation; ask in ascending order. */
export async function* pairedShards(
  pair: FolderPair,
): AsyncGenerator<{ pivot: Side; find(conversation: number): Promise<Part | null> }, void, void> {
  const shards = readDistributions(pair.source);
  let source: Side | undefined;
  let index = 0;
  let ended = false;
  const find = async (conversation: number): Promise<Part | null> => {
    for (;;) {
      while (source !== undefined && index < source.shard.conversation.length) {
        const found = source.shard.conversation[index]!;
        if (found === conversation) return part(source, index);
        if (found > conversation) return null;
        index++;
      }
      if (ended) return null;
      const next = await shards.next();
      index = 0;
      source = next.done === true ? undefined : side(next.value, pair.sourceVocabulary);
      ended = next.done === true;
    }
  };
  for await (const loaded of readDistributions(pair.pivot)) yield { pivot: side(loaded, pair.pivotVocabulary), find };
}

function side(loaded: ShardOfFolder, vocabulary: Vocabulary): Side {
  return { ...loaded, spans: rowSpans(loaded.shard, vocabulary) };
}

export function part(side: Side, index: number): Part {
  return { side, index, from: side.shard.rowStart[index]!, to: side.shard.rowStart[index + 1]! };
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
