/** A small shard by hand: two conversations, the second with two answered turns; K = 2 over a vocabulary of 6. */

import type { DistributionsShard } from "#src/distributions/shard.js";
import { numberToHalf } from "#src/formats/float.js";

export function smallShard(): DistributionsShard {
  return {
    metadata: {
      model: "small",
      weightsSha256: "a".repeat(64),
      tokenizerSha256: "b".repeat(64),
      template: "native",
      topK: 2,
      vocabulary: 6,
      maxLength: 64,
    },
    conversation: Int32Array.of(0, 3),
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
  };
}

export function halves(values: readonly number[]): Uint16Array {
  return Uint16Array.from(values, numberToHalf);
}
