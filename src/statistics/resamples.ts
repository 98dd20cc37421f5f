/**
 * Which units a bootstrap draws, and sums over them. The draws depend on the number of units and the seed alone, so
 * every measure of the same prompts resamples the same prompts (common random numbers: two models' intervals move
 * together, and the draws, most of the cost, are made once). The last ones are kept; that is memory of a pure function.
 */
import { createRandom } from "../random.ts";

/** Draws that are kept, 4 bytes each: 64 MB, twice the 10,000 resamples of 805 prompts. */
const KEPT_DRAWS = 2 ** 24;
/** Draws of a larger bootstrap that exist at a time. */
const BLOCK_DRAWS = 2 ** 20;

const kept = new Map<string, Uint32Array>();
let keptDraws = 0;

/**
 * The resamples, some rows of `[resamples, units]` at a time: indices of units, n of n with replacement. What is
 * yielded holds only until the next one, and is not to be written to.
 */
export function* resampledUnits(units: number, resamples: number, seed: string): Generator<Uint32Array> {
  const name = `bootstrap/${seed}/${resamples}/${units}`;
  const draws = units * resamples;
  if (draws <= KEPT_DRAWS) {
    yield recall(name) ?? keep(name, drawer(name, units)(new Uint32Array(draws)));
    return;
  }
  const draw = drawer(name, units);
  const rows = Math.max(1, Math.floor(BLOCK_DRAWS / units));
  const block = new Uint32Array(rows * units);
  for (let first = 0; first < resamples; first += rows) {
    yield draw(block.subarray(0, Math.min(rows, resamples - first) * units));
  }
}

/** Fills arrays with units, each equally likely to 1 part in 2^32 / units. */
function drawer(seed: string, units: number): (draws: Uint32Array) => Uint32Array {
  const random = createRandom(seed);
  const scale = units / 4294967296;
  return (draws) => {
    random.words(draws);
    for (let i = 0; i < draws.length; i++) draws[i] = draws[i]! * scale;
    return draws;
  };
}

function recall(name: string): Uint32Array | undefined {
  const draws = kept.get(name);
  if (draws === undefined) return undefined;
  kept.delete(name);
  kept.set(name, draws);
  return draws;
}

/** Makes room by forgetting what was not asked for the longest. */
function keep(name: string, draws: Uint32Array): Uint32Array {
  for (const [oldest, { length }] of kept) {
    if (keptDraws + draws.length <= KEPT_DRAWS) break;
    kept.delete(oldest);
    keptDraws -= length;
  }
  kept.set(name, draws);
  keptDraws += draws.length;
  return draws;
}

/** The sum of each column, `[units]`, over each resample: as many arrays `[resamples]`. */
export function resampledSums(columns: readonly Float64Array[], resamples: number, seed: string): Float64Array[] {
  const units = columns[0]?.length ?? 0;
  const sums = columns.map(() => new Float64Array(resamples));
  let first = 0;
  for (const draws of resampledUnits(units, resamples, seed)) {
    const rows = draws.length / units;
    for (const [c, column] of columns.entries()) addSums(column, draws, sums[c]!.subarray(first, first + rows));
    first += rows;
  }
  return sums;
}

/** The same sum over the units themselves, added in the order of a resample: a draw of all of them equals it exactly. */
export function sumOf(column: Float64Array): number {
  const sum = new Float64Array(1);
  addSums(column, Uint32Array.from(column.keys()), sum);
  return sum[0]!;
}

function addSums(column: Float64Array, draws: Uint32Array, sums: Float64Array): void {
  const units = column.length;
  let at = 0;
  for (let r = 0; r < sums.length; r++) {
    const end = at + units;
    // Four sums, because one would wait for its own last addition: 0.5 instead of 1.0 ns a unit.
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    for (; at + 3 < end; at += 4) {
      s0 += column[draws[at]!]!;
      s1 += column[draws[at + 1]!]!;
      s2 += column[draws[at + 2]!]!;
      s3 += column[draws[at + 3]!]!;
    }
    for (; at < end; at++) s0 += column[draws[at]!]!;
    sums[r] = s0 + s1 + (s2 + s3);
  }
}
