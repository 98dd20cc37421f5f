/**
 * What hand-made shards of tests have in common, and a small one: two conversations, the second with two answered
 * turns; K = 2 over a vocabulary of 6.
 */
import { createHash } from "node:crypto";
import type { DistributionsMetadata, DistributionsShard } from "#src/distributions/shard.js";
import { numberToHalf } from "#src/formats/float.js";

/** Metadata of a shard whose model, template and tokens are nobody's. */
export function shardMetadata(changes: Partial<DistributionsMetadata> = {}): DistributionsMetadata {
  return {
    model: "small",
    weightsSha256: "a".repeat(64),
    tokenizerSha256: "b".repeat(64),
    template: "native",
    templateSha256: "d".repeat(64),
    specialTokensSha256: "e".repeat(64),
    templateName: "default",
    templateVariables: "{}",
    date: "2025-01-01",
    topK: 2,
    vocabulary: 6,
    maxLength: 64,
    ...changes,
  };
}

/** The hashes of what was said, and of its ids, where the same text stands for both. */
export function textHashes(texts: readonly string[]): Pick<DistributionsShard, "conversationSha256" | "idsSha256"> {
  const hashes = () => Uint8Array.from(texts.flatMap((text) => [...createHash("sha256").update(text).digest()]));
  return { conversationSha256: hashes(), idsSha256: hashes() };
}

/** Templates that write every response whole. */
export function nothingLeftOut(): Pick<DistributionsShard, "leftOutRow" | "leftOut"> {
  return { leftOutRow: new Int32Array(0), leftOut: new BigInt64Array(0) };
}

export function smallShard(): DistributionsShard {
  return {
    metadata: shardMetadata(),
    conversation: Int32Array.of(0, 3),
    ...textHashes(["first", "second"]),
    bytes: Int32Array.of(4, 5),
    rowStart: Float64Array.of(0, 2, 5),
    turn: Uint16Array.of(1, 1, 1, 3, 3),
    byteStart: Int32Array.of(0, 3, 0, 0, 2),
    byteEnd: Int32Array.of(3, 3, 1, 2, 2),
    lead: Uint8Array.of(1, 0, 0, 0, 0),
    token: Uint16Array.of(1, 5, 2, 3, 5),
    labelLogp: Float32Array.of(-0.5, -1, -2, 0, -3),
    topId: Uint16Array.of(1, 2, 5, 0, 3, 2, 3, 0, 1, 4),
    topLogp: halves([-0.5, -1, -1, -2, -0.25, -3, 0, -Infinity, -1, -1]),
    endOfTurn: Int32Array.of(1, 4),
    leftOutRow: Int32Array.of(2, 3),
    leftOut: BigInt64Array.of(-(2n ** 63n), 7n),
  };
}

/** The conversations `from .. to-1` of a shard, as a shard of their own. */
export function cutShard(shard: DistributionsShard, from: number, to: number): DistributionsShard {
  const [first, last] = [shard.rowStart[from]!, shard.rowStart[to]!];
  const { topK } = shard.metadata;
  const inside = (row: number): boolean => row >= first && row < last;
  return {
    metadata: shard.metadata,
    conversation: shard.conversation.slice(from, to),
    conversationSha256: shard.conversationSha256.slice(32 * from, 32 * to),
    idsSha256: shard.idsSha256.slice(32 * from, 32 * to),
    bytes: shard.bytes.slice(from, to),
    rowStart: shard.rowStart.slice(from, to + 1).map((row) => row - first),
    turn: shard.turn.slice(first, last),
    byteStart: shard.byteStart.slice(first, last),
    byteEnd: shard.byteEnd.slice(first, last),
    lead: shard.lead.slice(first, last),
    token: shard.token.slice(first, last),
    labelLogp: shard.labelLogp.slice(first, last),
    topId: shard.topId.slice(first * topK, last * topK),
    topLogp: shard.topLogp.slice(first * topK, last * topK),
    endOfTurn: shard.endOfTurn.filter(inside).map((row) => row - first),
    leftOutRow: shard.leftOutRow.filter(inside).map((row) => row - first),
    leftOut: shard.leftOut.filter((_, entry) => inside(shard.leftOutRow[entry]!)),
  };
}

export function halves(values: readonly number[]): Uint16Array {
  return Uint16Array.from(values, numberToHalf);
}
