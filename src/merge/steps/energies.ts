/** The energies of the models' updates, and the shares that sce and varm make of them. */
import { CHUNK_ENTRIES, type Chunk } from "../method.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

/** Adds the square of each model's update of entry `i` to `sums[at ..]`. */
export function addSquares({ models: values, base }: Chunk, i: number, sums: Float64Array, at: number): void {
  const origin = base[i]!;
  for (let place = i, j = at; place < values.length; place += STRIDE, j++) {
    const update = values[place]! - origin;
    sums[j]! += update * update;
  }
}

/** Each energy over their sum; equal shares where the sum does not reach `least` or is 0. */
export function sharesOf(energies: Float64Array, least: number): Float64Array {
  const sum = energies.reduce((total, energy) => total + energy, 0);
  return energies.map((energy) => (sum === 0 || sum < least ? 1 / energies.length : energy / sum));
}
