/** The shares that sce and varm make of the energies (sums of squares) of the models' updates. */

/** Each energy over their sum; equal shares where the sum does not reach `least` or is 0. */
export function sharesOf(energies: Float64Array, least: number): Float64Array {
  const sum = energies.reduce((total, energy) => total + energy, 0);
  return energies.map((energy) => (sum === 0 || sum < least ? 1 / energies.length : energy / sum));
}
