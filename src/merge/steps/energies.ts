/** The energies of the models' updates, and the shares that sce and varm make of them. */
import { CHUNK_ENTRIES, type Chunk } from "../chunk.ts";
import { squaredDistance } from "../kernels/index.ts";

/** Adds to each energy the squares of that model's updates of a chunk. */
export function addSquares({ models, base, count }: Chunk, energies: Float64Array): void {
  for (let j = 0; j < energies.length; j++) {
    energies[j]! += squaredDistance(models.subarray(j * CHUNK_ENTRIES, (j + 1) * CHUNK_ENTRIES), base, count);
  }
}

/** Each energy over their sum; equal shares where the sum does not reach `least` or is 0. */
export function sharesOf(energies: Float64Array, least: number): Float64Array {
  const sum = energies.reduce((total, energy) => total + energy, 0);
  return energies.map((energy) => (sum === 0 || sum < least ? 1 / energies.length : energy / sum));
}
