/** A conversation as both folders of an alignment have it, and the check that it is one and the same. */
import type { ShardOfFolder } from "../distributions/read-folder.ts";
import { SHA256_BYTES } from "../distributions/shard-file.ts";
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

/**
 * Aligns the rows of a conversation: `out` gets a source row, or -1, for each of the pivot's; returns how many have one.
 * Whatever the sequence alignment says, rows are shared only where both models have read the same part of the response.
 */
export function alignParts({ align }: SequenceAlignment, pivot: Part, source: Part, out: Int32Array): number {
  const shared = align(pivot.side.spans, pivot.from, pivot.to, source.side.spans, source.from, source.to, out);
  const readsAlike = readsLike(pivot, source);
  return readsAlike === null ? shared : shared - dropUnlike(readsAlike, pivot, source, out);
}

/** [rows] what each row's model has not read of the response before it, as the shard tells; null where nothing is left out. */
function readings({ side: { shard }, from, to }: Part): BigInt64Array | null {
  const { leftOutRow, leftOut, turn } = shard;
  let entry = firstFrom(leftOutRow, from);
  if (entry === leftOutRow.length || leftOutRow[entry]! >= to) return null;
  const reads = new BigInt64Array(to - from);
  for (; entry < leftOutRow.length && leftOutRow[entry]! < to; entry++) {
    const row = leftOutRow[entry]!;
    const end = Math.min(to, leftOutRow[entry + 1] ?? to);
    for (let r = row; r < end && turn[r] === turn[row]; r++) reads[r - from] = leftOut[entry]!;
  }
  return reads;
}

/** Whether a row and one of the source's have read the same part of their response; null where all of both have. */
export function readsLike(pivot: Part, source: Part): ((row: number, sourceRow: number) => boolean) | null {
  const here = readings(pivot);
  const there = readings(source);
  if (here === null && there === null) return null;
  return (row, sourceRow) => (here?.[row - pivot.from] ?? 0n) === (there?.[sourceRow - source.from] ?? 0n);
}

function dropUnlike(
  readsAlike: (row: number, sourceRow: number) => boolean,
  { from, to }: Part,
  source: Part,
  out: Int32Array,
): number {
  let dropped = 0;
  for (let row = from; row < to; row++) {
    if (out[row] === -1 || readsAlike(row, source.from + out[row]!)) continue;
    out[row] = -1;
    dropped++;
  }
  return dropped;
}

/** The first place of ascending values that is at least `least`. */
function firstFrom(values: Int32Array, least: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Refuses two parts that do not come from the same conversation: the hashes of what was said differ. */
export function checkSameConversation(pivot: Part, source: Part): void {
  const here = sha256Of(pivot);
  const there = sha256Of(source);
  if (here.equals(there)) return;
  const conversation = pivot.side.shard.conversation[pivot.index]!;
  throw inputError(
    source.side.path,
    `conversation ${conversation} is ${there.toString("hex", 0, 6)}…, and ${here.toString("hex", 0, 6)}… for the pivot; the two folders were made from different data`,
  );
}

function sha256Of({ side: { shard }, index }: Part): Buffer {
  const { buffer, byteOffset } = shard.conversationSha256;
  return Buffer.from(buffer, byteOffset + index * SHA256_BYTES, SHA256_BYTES);
}
