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
export function rowSpans(shard: DistributionsShard, { bytes }: Pick<Vocabulary, "bytes">): RowSpans {
  const { turn, byteStart, byteEnd, token } = shard;
  const endOfTurn = new Uint8Array(token.length);
  for (const row of shard.endOfTurn) endOfTurn[row] = 1;
  return { turn, byteStart, byteEnd, endOfTurn, token, bytes };
}
