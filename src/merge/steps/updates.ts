/** The updates (task vectors) of a chunk: what each model has beyond the base, or its weights where there is no base. */
import { CHUNK_ENTRIES, type Chunk } from "../method.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

/** [models, CHUNK_ENTRIES] */
export function createUpdates(models: number): Float64Array {
  return new Float64Array(models * STRIDE);
}

/** Fills `updates` from the chunk, or returns its own array where it has no base. */
export function updatesOf({ models, base, count }: Chunk, updates: Float64Array): Float64Array {
  if (base.length === 0) return models;
  for (let offset = 0; offset < updates.length; offset += STRIDE) {
    for (let i = 0; i < count; i++) updates[offset + i] = models[offset + i]! - base[i]!;
  }
  return updates;
}

/** Writes how far model `j` moved each entry of the chunk. */
export function magnitudes({ models, base, count }: Chunk, j: number, scores: Float64Array): void {
  const offset = j * STRIDE;
  for (let i = 0; i < count; i++) scores[i] = Math.abs(models[offset + i]! - base[i]!);
}
