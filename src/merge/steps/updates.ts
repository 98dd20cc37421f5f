/** The updates (task vectors) of a chunk: what each model has beyond the base, or its weights where there is no base. */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk } from "../chunk.ts";
import { subtract } from "../kernels/index.ts";

/** `[models, CHUNK_ENTRIES]` for a chunk, valid until the next call; the chunk's own array where it has no base. */
export function createUpdates(models: number, memory: BlockMemory): (chunk: Chunk) => Float64Array {
  const updates = memory.doubles("updates", models * CHUNK_ENTRIES);
  return (chunk) => {
    if (chunk.base.length === 0) return chunk.models;
    subtract(chunk.models, chunk.base, models, chunk.count, updates);
    return updates;
  };
}
