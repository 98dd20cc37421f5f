/** The updates (task vectors) of a chunk: what each model has beyond the base, or its weights where there is no base. */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk } from "../chunk.ts";
import * as kernels from "../kernels/index.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

/** `[models, CHUNK_ENTRIES]` for a chunk, valid until the next call; the chunk's own array where it has no base. */
export function createUpdates(models: number, memory: BlockMemory): (chunk: Chunk) => Float64Array {
  const updates = memory.doubles("updates", models * STRIDE);
  return (chunk) => {
    if (chunk.base.length === 0) return chunk.models;
    for (let offset = 0; offset < updates.length; offset += STRIDE) {
      kernels.subtract(chunk.models.subarray(offset), chunk.base, chunk.count, updates.subarray(offset));
    }
    return updates;
  };
}

/** Writes how far model `j` moved each entry of the chunk. */
export function magnitudes({ models, base, count }: Chunk, j: number, scores: Float64Array): void {
  kernels.magnitudes(models.subarray(j * STRIDE), base, count, scores);
}
