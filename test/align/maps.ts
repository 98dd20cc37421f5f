/** Vocabulary maps for tests: for each source token its places and their shares. */
import { createSparseMapBuilder, type SparseMap } from "#src/align/sparse-map.js";

export function mapOf(...sources: readonly (readonly (readonly [pivot: number, share: number])[])[]): SparseMap {
  const builder = createSparseMapBuilder();
  for (const places of sources) {
    for (const [pivot, share] of places) builder.place(pivot, share);
    builder.next();
  }
  return builder.build();
}
