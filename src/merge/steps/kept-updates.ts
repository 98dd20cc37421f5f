/** What is left of the models' updates, chunk by chunk: all entries, those that are marked, or those between two cuts. */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk } from "../chunk.ts";
import { countMagnitudes, keepBetween, keepMarked, subtract } from "../kernels/index.ts";
import { above, type Cut } from "./cuts.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

/** The largest entries by magnitude up to the cut `to`, without the largest ones up to the cut `from`. */
export interface Band {
  readonly from: Cut;
  readonly to: Cut;
}

/** Of one model: all entries where undefined, a bit an entry in `[size / 32]`, or a band. */
export type Kept = Uint32Array | Band | undefined;

/**
 * The kept updates of a chunk, `[models, CHUNK_ENTRIES]` with zeros in the other places, valid until the next call. Made
 * anew for every pass, whose chunks it is called with in order.
 */
export function createKeeper(kept: readonly Kept[], memory: BlockMemory): (chunk: Chunk) => Float64Array {
  const updates = memory.doubles("updates", kept.length * STRIDE);
  const keepers = kept.map((one) => (one === undefined ? keepAll : "from" in one ? bandKeeper(one) : markKeeper(one)));
  return (chunk) => {
    for (const [j, keep] of keepers.entries()) {
      keep(chunk, chunk.models.subarray(j * STRIDE, (j + 1) * STRIDE), updates.subarray(j * STRIDE, (j + 1) * STRIDE));
    }
    return updates;
  };
}

type Keep = (chunk: Chunk, model: Float64Array, out: Float64Array) => void;

const keepAll: Keep = ({ base, count }, model, out) => subtract(model, base, count, out);

function markKeeper(bits: Uint32Array): Keep {
  return ({ start, count, base }, model, out) =>
    keepMarked(model, base, bits.subarray(start >>> 5, (start + CHUNK_ENTRIES) >>> 5), count, out);
}

/**
 * Of updates of 0 it does not matter which are kept. A chunk before the last entry that counts of those equal to a cut's score takes all of them, one behind it none: both
 * are thresholds. Only the chunk with that entry goes one by one.
 */
function bandKeeper({ from, to }: Band): Keep {
  const equal = { from: from.equal, to: to.equal };
  return ({ base, count }, model, out) => {
    const found = (score: number, wanted: number): number =>
      wanted === 0 || score === 0 ? 0 : countMagnitudes(model, base, score, count);
    const ofFrom = found(from.score, equal.from);
    const ofTo = found(to.score, equal.to);
    if (ofFrom <= equal.from && ofTo <= equal.to) {
      const least = equal.to > 0 ? to.score : above(to.score);
      const below = equal.from > 0 ? from.score : above(from.score);
      keepBetween(model, base, least, below, count, out);
      equal.from -= ofFrom;
      equal.to -= ofTo;
      return;
    }
    for (let i = 0; i < count; i++) {
      const update = model[i]! - base[i]!;
      const magnitude = Math.abs(update);
      const isIn = magnitude > to.score || (magnitude === to.score && equal.to-- > 0);
      const isOut = magnitude > from.score || (magnitude === from.score && equal.from-- > 0);
      out[i] = isIn && !isOut ? update : 0;
    }
    equal.from = Math.max(0, equal.from);
    equal.to = Math.max(0, equal.to);
  };
}
