/** Entries of a chunk that lie above a cut, packed together: what is computed for them alone is computed as for a chunk. */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk } from "../chunk.ts";
import { findFrom, gather } from "../kernels/index.ts";
import { above, type Cut, type Score } from "./cuts.ts";

const STRIDE = CHUNK_ENTRIES;

export interface SelectedEntries {
  /** Where they lie in the chunk, in order; as many as there are entries. */
  readonly places: Int32Array;
  /** The entries themselves; `start` means nothing. */
  readonly entries: Chunk;
}

/** Valid until the next call. Made anew for every pass, whose chunks it is called with in order. */
export function createSelector(
  models: number,
  score: Score,
  cut: Cut,
  memory: BlockMemory,
): (chunk: Chunk) => SelectedEntries {
  const scores = memory.doubles("scores", STRIDE);
  const { buffer, byteOffset } = memory.words("places", STRIDE);
  const places = new Int32Array(buffer, byteOffset, STRIDE);
  const packed = memory.doubles("packed models", models * STRIDE);
  const packedBase = memory.doubles("packed base", STRIDE);
  // How many of those equal to the cut's score are still wanted.
  let equal = cut.equal;
  const find = (count: number): number => {
    if (equal === 0) return findFrom(scores, above(cut.score), count, places);
    const found = findFrom(scores, cut.score, count, places);
    let kept = 0;
    for (let n = 0; n < found; n++) {
      const place = places[n]!;
      if (scores[place] === cut.score && equal-- <= 0) continue;
      places[kept++] = place;
    }
    equal = Math.max(0, equal);
    return kept;
  };
  return (chunk) => {
    score(chunk, scores);
    const count = find(chunk.count);
    gather(chunk.models, models, places, count, packed);
    gather(chunk.base, 1, places, count, packedBase);
    // Behind the last there are zeros, as in any chunk.
    const end = Math.ceil(count / 8) * 8;
    for (let j = 0; j < models; j++) packed.fill(0, j * STRIDE + count, j * STRIDE + end);
    packedBase.fill(0, count, end);
    return { places, entries: { start: chunk.start, count, models: packed, base: packedBase } };
  };
}
