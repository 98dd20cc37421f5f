/** Some entries of a chunk, packed together: what is computed for them alone is computed as for a chunk. */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk } from "../chunk.ts";
import { gather } from "../kernels/index.ts";

export interface Packer {
  /** [CHUNK_ENTRIES] where the entries lie in the chunk; for the caller to fill. */
  readonly places: Int32Array;
  /** The first `count` of them, valid until the next call; `start` means nothing. */
  pack(chunk: Chunk, count: number): Chunk;
}

/** All packers of one memory share their room. */
export function createPacker(models: number, memory: BlockMemory): Packer {
  const { buffer, byteOffset } = memory.words("places", CHUNK_ENTRIES);
  const places = new Int32Array(buffer, byteOffset, CHUNK_ENTRIES);
  const packed = memory.doubles("packed models", models * CHUNK_ENTRIES);
  const base = memory.doubles("packed base", CHUNK_ENTRIES);
  return {
    places,
    pack: (chunk, count) => {
      gather(chunk.models, models, places, count, packed);
      gather(chunk.base, 1, places, count, base);
      // Behind the last there are zeros, as in any chunk.
      const end = Math.ceil(count / 8) * 8;
      for (let j = 0; j < models; j++) packed.fill(0, j * CHUNK_ENTRIES + count, j * CHUNK_ENTRIES + end);
      base.fill(0, count, end);
      return { start: chunk.start, count, models: packed, base };
    },
  };
}
