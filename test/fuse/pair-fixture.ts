/**
 * Hand-made shards: a pivot with K = 2 over a vocabulary of 8 (ids 6 and 7 are a padded head's, without tokens), and a
 * source aligned to it with W = 3. One conversation, four rows: "ab", "c", "d" and the end of turn.
 */
import type { AlignedShard } from "#src/align/shard.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { numberToHalf } from "#src/formats/float.js";
import type { PairConversation } from "#src/fuse/pair-conversation.js";
import { nothingLeftOut, shardMetadata, textHashes } from "../distributions/shard-fixture.ts";

export const VOCABULARY = 8;
export const HAS_TOKEN: Uint8Array = Uint8Array.of(1, 1, 1, 1, 1, 1, 0, 0);

/** Float16 patterns of the logarithms of these probabilities; 0 is -inf. */
export function halves(probabilities: readonly number[]): Uint16Array {
  return Uint16Array.from(probabilities, (probability) => numberToHalf(Math.log(probability)));
}

export const PIVOT_LOGP = [-1, -2, -3, -0.5];
export const SOURCE_LOGP = [-0.9, -2.5, -0.25];

export function pivotShard(): DistributionsShard {
  return {
    metadata: shardMetadata({ model: "pivot", vocabulary: VOCABULARY }),
    conversation: Int32Array.of(0),
    ...textHashes(["abcd"]),
    bytes: Int32Array.of(5),
    rowStart: Float64Array.of(0, 4),
    turn: Uint16Array.of(1, 1, 1, 1),
    byteStart: Int32Array.of(0, 2, 3, 4),
    byteEnd: Int32Array.of(2, 3, 4, 4),
    lead: new Uint8Array(4),
    token: Uint16Array.of(1, 2, 3, 5),
    labelLogp: Float32Array.from(PIVOT_LOGP),
    topId: Uint16Array.of(1, 2, 2, 7, 7, 6, 5, 0),
    topLogp: halves([0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.125]),
    endOfTurn: Int32Array.of(3),
    ...nothingLeftOut(),
  };
}

/** The source has tokens "a", "b" + "cd" and the end of turn: it shares the first row and the end of turn. */
export function sourceShard(): DistributionsShard {
  return {
    metadata: { ...pivotShard().metadata, model: "source", weightsSha256: "c".repeat(64) },
    conversation: Int32Array.of(0),
    ...textHashes(["abcd"]),
    bytes: Int32Array.of(5),
    rowStart: Float64Array.of(0, 3),
    turn: Uint16Array.of(1, 1, 1),
    byteStart: Int32Array.of(0, 1, 4),
    byteEnd: Int32Array.of(2, 4, 4),
    lead: new Uint8Array(3),
    token: Uint16Array.of(4, 4, 5),
    labelLogp: Float32Array.from(SOURCE_LOGP),
    topId: Uint16Array.of(1, 2, 1, 2, 5, 0),
    topLogp: halves([0.5, 0.25, 0.5, 0.25, 0.5, 0.25]),
    endOfTurn: Int32Array.of(2),
    ...nothingLeftOut(),
  };
}

/** Row 0 has two masses of the source, row 3 none that found a place; rows 1 and 2 are not shared. */
export function alignedShard(sourceNats = 3.65): AlignedShard {
  return {
    metadata: { pivot: "pivot", source: "source", sequence: "bytes", vocabulary: "exact" },
    conversation: Int32Array.of(0),
    rowStart: Float64Array.of(0, 4),
    sourceRow: Int32Array.of(0, -1, -1, 2),
    topId: Uint16Array.of(4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    topLogp: halves([0.5, 0.25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    pivotNats: Float32Array.of(6.5),
    sourceNats: Float32Array.of(sourceNats),
    pivotBytes: Int32Array.of(5),
    sourceBytes: Int32Array.of(5),
  };
}

export function pairConversation(aligned: AlignedShard | null = alignedShard()): PairConversation {
  return {
    conversation: 0,
    pivot: { shard: pivotShard(), place: 0, first: 0, rows: 4 },
    sources:
      aligned === null
        ? []
        : [{ aligned: { shard: aligned, place: 0 }, own: { shard: sourceShard(), place: 0, first: 0, rows: 3 } }],
  };
}
