/** What is left of the models' updates, chunk by chunk: all entries, those that are marked, or those between two cuts. */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk } from "../chunk.ts";
import { countMagnitudes, keepBetween, keepMarked } from "../kernels/index.ts";
import { above, type Cut, EVERYTHING, NOTHING } from "./cuts.ts";
import { createUpdates } from "./updates.ts";

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
  if (kept.every((one) => one === undefined)) return createUpdates(kept.length, memory);
  const updates = memory.doubles("updates", kept.length * CHUNK_ENTRIES);
  const everything: Band = { from: NOTHING, to: EVERYTHING };
  const keepers = kept.map((one = everything, j) =>
    "from" in one ? bandKeeper(one, j) : markKeeper(one, j, memory.words("bits", CHUNK_ENTRIES / 32)),
  );
  return (chunk) => {
    for (const keep of keepers) keep(chunk, updates);
    return updates;
  };
}

/** Writes what is kept of one model's update to its place. */
type Keep = (chunk: Chunk, updates: Float64Array) => void;

/** `room` is for the bits of a chunk. */
function markKeeper(bits: Uint32Array, j: number, room: Uint32Array): Keep {
  return ({ start, count, models, base }, updates) => {
    const first = start >>> 5;
    for (let word = 0; word < room.length; word++) room[word] = bits[first + word]!;
    keepMarked(models, j, base, room, count, updates);
  };
}

/**
 * Of updates of 0 it does not matter which are kept. A chunk before the last entry that counts of those equal to a cut's
 * score takes all of them, one behind it none: both are thresholds. Only the chunk with that entry goes one by one.
 */
function bandKeeper({ from, to }: Band, j: number): Keep {
  const equal = { from: from.equal, to: to.equal };
  const afterTo = above(to.score);
  const afterFrom = above(from.score);
  return ({ base, count, models }, updates) => {
    const found = (score: number, wanted: number): number =>
      wanted === 0 || score === 0 ? 0 : countMagnitudes(models, j, base, score, count);
    const ofFrom = found(from.score, equal.from);
    const ofTo = found(to.score, equal.to);
    if (ofFrom <= equal.from && ofTo <= equal.to) {
      const least = equal.to > 0 ? to.score : afterTo;
      const below = equal.from > 0 ? from.score : afterFrom;
      keepBetween(models, j, base, least, below, count, updates);
      equal.from -= ofFrom;
      equal.to -= ofTo;
      return;
    }
    for (let i = 0, place = j * CHUNK_ENTRIES; i < count; i++, place++) {
      const update = models[place]! - base[i]!;
      const magnitude = Math.abs(update);
      const isIn = magnitude > to.score || (magnitude === to.score && equal.to-- > 0);
      const isOut = magnitude > from.score || (magnitude === from.score && equal.from-- > 0);
      updates[place] = isIn && !isOut ? update : 0;
    }
    equal.from = Math.max(0, equal.from);
    equal.to = Math.max(0, equal.to);
  };
}
