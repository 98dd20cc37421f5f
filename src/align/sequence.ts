/**
 * What a sequence alignment is: for each row of the pivot the row of the source that predicts the same place, or none.
 * It sees where tokens lie in the response, what they spell, and which rows end a turn.
 */
import type { DistributionsShard } from "../distributions/shard.ts";
import type { Vocabulary } from "./vocabulary.ts";

/**
 * Where the rows of one model lie and what their labels spell. R rows, grouped by conversation; turns and starts never
 * descend within one.
 */
export interface RowSpans {
  /** [R] index of the turn. */
  readonly turn: Uint16Array;
  /** [R] the label's span in the turn's content, bytes. */
  readonly byteStart: Int32Array;
  readonly byteEnd: Int32Array;
  /** [R] 1 for end-of-turn rows, each the last row of its turn. */
  readonly endOfTurn: Uint8Array;
  /** [R] the label token. */
  readonly token: Uint16Array | Uint32Array;
  /** The own bytes of a token, whatever of them its span takes; empty for one that has none. Not to be written to. */
  bytes(token: number): Uint8Array;
}

/**
 * For the pivot rows `pivotFrom .. pivotTo-1` of one conversation writes the aligned source row, counted from
 * `sourceFrom`, or -1, to the same places of `out`. Returns how many rows are aligned.
 */
export type AlignRows = (
  pivot: RowSpans,
  pivotFrom: number,
  pivotTo: number,
  source: RowSpans,
  sourceFrom: number,
  sourceTo: number,
  out: Int32Array,
) => number;

export interface SequenceAlignment {
  readonly name: string;
  /** One line for help. */
  readonly summary: string;
  /** Where the rule comes from. */
  readonly source: string;
  readonly align: AlignRows;
}

/** The rows of a shard, with their roles and the bytes of the shard's vocabulary. */
export function rowSpans(
  shard: DistributionsShard,
  { special, bytes }: Pick<Vocabulary, "special" | "bytes">,
): RowSpans {
  const { turn, byteStart, byteEnd, token } = shard;
  return { turn, byteStart, byteEnd, endOfTurn: endOfTurnRows(shard, special), token, bytes };
}

/** [R] 1 for the end-of-turn rows of a shard: the last row of a turn, where its label is special and takes no bytes. */
function endOfTurnRows(shard: DistributionsShard, special: Uint8Array): Uint8Array {
  const { rowStart, turn, byteStart, byteEnd, token } = shard;
  const result = new Uint8Array(token.length);
  for (let n = 0; n < shard.conversation.length; n++) {
    const end = rowStart[n + 1]!;
    for (let row = rowStart[n]!; row < end; row++) {
      const last = row + 1 === end || turn[row + 1] !== turn[row];
      if (last && byteStart[row] === byteEnd[row] && special[token[row]!] === 1) result[row] = 1;
    }
  }
  return result;
}
