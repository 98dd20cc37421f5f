/** The pieces in which tensors are read, computed and written. */

/** Entries of a chunk at most: six models of doubles stay within a core's second-level cache. */
export const CHUNK_ENTRIES = 4096;

/** Consecutive entries of one tensor, of all models, widened to doubles. Valid only until the pass returns. */
export interface Chunk {
  /** Flat index of the first entry, a multiple of CHUNK_ENTRIES. */
  readonly start: number;
  /** Entries in it, 1 to CHUNK_ENTRIES. Behind them, up to a multiple of 8, there are zeros. */
  readonly count: number;
  /** [models, CHUNK_ENTRIES], in the order of the configuration: entry i of model j is at `j * CHUNK_ENTRIES + i`. */
  readonly models: Float64Array;
  /** [CHUNK_ENTRIES] the base model's entries; empty where the models have no base to differ from. */
  readonly base: Float64Array;
}

/** One reading of the whole tensor. */
export type Pass = (chunk: Chunk) => void;
