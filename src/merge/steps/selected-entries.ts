/** Entries of a chunk that lie above a cut, packed together. */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk } from "../chunk.ts";
import { findFrom } from "../kernels/index.ts";
import { above, type Cut, type Score } from "./cuts.ts";
import { createPacker } from "./packed-entries.ts";

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
  const scores = memory.doubles("scores", CHUNK_ENTRIES);
  const { places, pack } = createPacker(models, memory);
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
    return { places, entries: pack(chunk, find(chunk.count)) };
  };
}
