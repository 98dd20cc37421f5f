/**
 * The innermost loops of merging, over the entries of one chunk. `[models, CHUNK_ENTRIES]` arrays hold entry i of model
 * j at `j * CHUNK_ENTRIES + i`. These are what the kernels mean; `vectors/` has the same ones four to ten times as fast.
 * What depends on signs or on a threshold, which are as good as random, is a choice between two values and not a branch.
 */
import { CHUNK_ENTRIES } from "../chunk.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

/** `sums[i]` = sum_j w_j x_j */
export function addWeights(
  models: Float64Array,
  weights: Float64Array,
  many: number,
  count: number,
  sums: Float64Array,
): void {
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let j = 0, place = i; j < many; j++, place += STRIDE) sum += weights[j]! * models[place]!;
    sums[i] = sum;
  }
}

/** `merged[i]` = b + factor x sum_j w_j (x_j - b) */
export function addUpdates(
  models: Float64Array,
  base: Float64Array,
  weights: Float64Array,
  many: number,
  factor: number,
  count: number,
  merged: Float64Array,
): void {
  for (let i = 0; i < count; i++) {
    const origin = base[i]!;
    let sum = 0;
    for (let j = 0, place = i; j < many; j++, place += STRIDE) sum += weights[j]! * (models[place]! - origin);
    merged[i] = origin + factor * sum;
  }
}

/**
 * `merged[i]` = b + factor x sum_j p_j u_j / sum_j s_j over the models whose v_j u_j has the sign of sum_j v_j u_j. A
 * sum of 0 is positive, a term of 0 has no sign. The divisor counts as 1 where it is 0, and is at least `least`.
 */
export function elect(
  updates: Float64Array,
  votes: Float64Array,
  parts: Float64Array,
  shares: Float64Array,
  many: number,
  base: Float64Array,
  factor: number,
  least: number,
  count: number,
  merged: Float64Array,
): void {
  for (let i = 0; i < count; i++) {
    let vote = 0;
    for (let j = 0, place = i; j < many; j++, place += STRIDE) vote += votes[j]! * updates[place]!;
    const sign = 1 - 2 * Number(vote < 0);
    let sum = 0;
    let divisor = 0;
    for (let j = 0, place = i; j < many; j++, place += STRIDE) {
      const takesPart = Number(votes[j]! * updates[place]! * sign > 0);
      sum += parts[j]! * updates[place]! * takesPart;
      divisor += shares[j]! * takesPart;
    }
    if (divisor === 0) divisor = 1;
    merged[i] = base[i]! + (factor * sum) / (divisor < least ? least : divisor);
  }
}

/** `sums[i]` = b + factor x `sums[i]` */
export function addToBase(base: Float64Array, factor: number, count: number, sums: Float64Array): void {
  for (let i = 0; i < count; i++) sums[i] = base[i]! + factor * sums[i]!;
}

/** `updates[j, i]` = x_j - b of all models */
export function subtract(
  models: Float64Array,
  base: Float64Array,
  many: number,
  count: number,
  updates: Float64Array,
): void {
  for (let j = 0, offset = 0; j < many; j++, offset += STRIDE) {
    for (let i = 0; i < count; i++) updates[offset + i] = models[offset + i]! - base[i]!;
  }
}

/** `updates[j, i]` = x_j - b of model j where its magnitude is at least `least` and less than `below`, else 0 */
export function keepBetween(
  models: Float64Array,
  j: number,
  base: Float64Array,
  least: number,
  below: number,
  count: number,
  updates: Float64Array,
): void {
  const offset = j * STRIDE;
  for (let i = 0; i < count; i++) {
    const update = models[offset + i]! - base[i]!;
    const magnitude = Math.abs(update);
    updates[offset + i] = magnitude >= least && magnitude < below ? update : 0;
  }
}

/** `updates[j, i]` = x_j - b of model j where bit i of `bits` is set, else 0 */
export function keepMarked(
  models: Float64Array,
  j: number,
  base: Float64Array,
  bits: Uint32Array,
  count: number,
  updates: Float64Array,
): void {
  const offset = j * STRIDE;
  for (let i = 0; i < count; i++) {
    updates[offset + i] = (bits[i >>> 5]! >>> (i & 31)) & 1 ? models[offset + i]! - base[i]! : 0;
  }
}

/** `scores[i]` = |x_j - b| of model j */
export function magnitudes(
  models: Float64Array,
  j: number,
  base: Float64Array,
  count: number,
  scores: Float64Array,
): void {
  const offset = j * STRIDE;
  for (let i = 0; i < count; i++) scores[i] = Math.abs(models[offset + i]! - base[i]!);
}

/**
 * `scores[i]` = population variance of the x_j; `share` is 1 / models. Taken about the first model, so that equal
 * weights give exactly 0 and no digits cancel (the mean is within the spread of the first).
 */
export function variances(
  models: Float64Array,
  many: number,
  share: number,
  count: number,
  scores: Float64Array,
): void {
  const end = many * STRIDE;
  for (let i = 0; i < count; i++) {
    const first = models[i]!;
    let sum = 0;
    let squares = 0;
    for (let place = i + STRIDE; place < end; place += STRIDE) {
      const difference = models[place]! - first;
      sum += difference;
      squares += difference * difference;
    }
    // Rounding may leave -1e-17 of the squares where all but the first are equal.
    const variance = (squares - sum * sum * share) * share;
    scores[i] = variance > 0 ? variance : 0;
  }
}

/** sum_i a_i b_i of the entries from `a` and from `b` on */
export function product(vectors: Float64Array, a: number, b: number, count: number): number {
  const sums = [0, 0, 0, 0];
  for (let i = 0; i < count; i++) sums[i & 3]! += vectors[a + i]! * vectors[b + i]!;
  return sumOf(sums);
}

/** sum_i |u_j| of model j */
export function sumOfMagnitudes(updates: Float64Array, j: number, count: number): number {
  const offset = j * STRIDE;
  const sums = [0, 0, 0, 0];
  for (let i = 0; i < count; i++) sums[i & 3]! += Math.abs(updates[offset + i]!);
  return sumOf(sums);
}

/** `energies[j]` += sum_i (x_j - b)^2 of all models */
export function addSquares(
  models: Float64Array,
  base: Float64Array,
  many: number,
  count: number,
  energies: Float64Array,
): void {
  for (let j = 0, offset = 0; j < many; j++, offset += STRIDE) {
    const sums = [0, 0, 0, 0];
    for (let i = 0; i < count; i++) {
      const update = models[offset + i]! - base[i]!;
      sums[i & 3]! += update * update;
    }
    energies[j]! += sumOf(sums);
  }
}

/** How many |x_j - b| of model j equal `magnitude`, which is not 0. */
export function countMagnitudes(
  models: Float64Array,
  j: number,
  base: Float64Array,
  magnitude: number,
  count: number,
): number {
  const offset = j * STRIDE;
  let found = 0;
  for (let i = 0; i < count; i++) found += Number(Math.abs(models[offset + i]! - base[i]!) === magnitude);
  return found;
}

/** Four lanes: no addition waits for the one before, and vectors of two doubles get the same sum. */
function sumOf([a, b, c, d]: readonly number[]): number {
  return a! + c! + (b! + d!);
}

/** Upper bits of the high word of a double that make a bin. */
const BIN_SHIFT = 12;

/**
 * Counts scores, which are not negative, by their upper 19 bits: 11 of exponent and 8 of mantissa. Returns all bins put
 * together bit by bit, which none of them is above.
 */
export function countBins(scores: Float64Array, count: number, histogram: Uint32Array): number {
  const words = new Uint32Array(scores.buffer, scores.byteOffset);
  let seen = 0;
  for (let i = 0; i < count; i++) {
    const bin = words[2 * i + 1]! >>> BIN_SHIFT;
    histogram[bin]!++;
    seen |= bin;
  }
  return seen;
}

/** Writes to `places` where a score is at least `least`, and returns how many there are. */
export function findFrom(scores: Float64Array, least: number, count: number, places: Int32Array): number {
  let found = 0;
  for (let i = 0; i < count; i++) {
    places[found] = i;
    found += Number(scores[i]! >= least);
  }
  return found;
}

/** Writes to `taken` the scores from `least` to less than `below`, and returns how many there are. */
export function takeBetween(
  scores: Float64Array,
  least: number,
  below: number,
  count: number,
  taken: Float64Array,
): number {
  let found = 0;
  for (let i = 0; i < count; i++) {
    const score = scores[i]!;
    taken[found] = score;
    found += Number(score >= least && score < below);
  }
  return found;
}

/** `packed[j, n]` = `models[j, places[n]]` for `count` places */
export function gather(
  models: Float64Array,
  many: number,
  places: Int32Array,
  count: number,
  packed: Float64Array,
): void {
  for (let j = 0, offset = 0; j < many; j++, offset += STRIDE) {
    for (let n = 0; n < count; n++) packed[offset + n] = models[offset + places[n]!]!;
  }
}

/** `values[places[n]]` = `packed[n]` for `count` places */
export function scatter(packed: Float64Array, places: Int32Array, count: number, values: Float64Array): void {
  for (let n = 0; n < count; n++) values[places[n]!] = packed[n]!;
}
