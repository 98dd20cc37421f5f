/**
 * Inner products of the models' tensors, or of their updates where there is a base. Everything that looks at norms and
 * angles is a function of these few numbers, and its result a linear combination of the inputs: one reading for the
 * products, one to combine, and nothing of a tensor's size in between.
 */
import { CHUNK_ENTRIES, type MergedTensor, type Pass } from "../method.ts";
import { forEachRun, type Groups } from "./groups.ts";
import { createUpdates, updatesOf } from "./updates.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

/** [models, models] symmetric: the inner products of one group. */
export type Gram = readonly Float64Array[];

/**
 * `[groups, models]` the coefficients that `solve` finds for each group from its Gram matrix, which is valid only until
 * it returns. Sums are taken chunk by chunk, so they do not depend on how much of a tensor is read in one go.
 */
export function* solveGroups(
  models: number,
  groups: Groups,
  solve: (gram: Gram) => readonly number[],
): Generator<Pass, Float64Array, void> {
  const pairs: [number, number][] = [];
  for (let a = 0; a < models; a++) for (let b = a; b < models; b++) pairs.push([a, b]);
  const products = new Float64Array(groups.count * pairs.length);
  const scratch = createUpdates(models);
  yield (chunk) => {
    const vectors = updatesOf(chunk, scratch);
    forEachRun(groups, chunk, (group, from, to) => {
      for (const [index, [a, b]] of pairs.entries()) {
        products[group * pairs.length + index]! += product(vectors, a * STRIDE, b * STRIDE, from, to);
      }
    });
  };
  const gram = Array.from({ length: models }, () => new Float64Array(models));
  const coefficients = new Float64Array(groups.count * models);
  for (let group = 0; group < groups.count; group++) {
    for (const [index, [a, b]] of pairs.entries()) {
      const value = products[group * pairs.length + index]!;
      gram[a]![b] = value;
      gram[b]![a] = value;
    }
    coefficients.set(solve(gram), group * models);
  }
  return coefficients;
}

function product(vectors: Float64Array, a: number, b: number, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += vectors[a + i]! * vectors[b + i]!;
  return sum;
}

/** `sum_j c_j x_j`, or `base + sum_j c_j (x_j - base)` where there is a base; `coefficients` is `[groups, models]`. */
export function combination(models: number, groups: Groups, coefficients: ArrayLike<number>): MergedTensor {
  const scratch = createUpdates(models);
  return {
    write: (chunk, merged) => {
      const vectors = updatesOf(chunk, scratch);
      const hasBase = chunk.base.length > 0;
      forEachRun(groups, chunk, (group, from, to) => {
        const first = group * models;
        for (let i = from; i < to; i++) {
          let value = hasBase ? chunk.base[i]! : 0;
          for (let j = 0, place = i; j < models; j++, place += STRIDE)
            value += coefficients[first + j]! * vectors[place]!;
          merged[i] = value;
        }
      });
    },
  };
}

/** Norms of the vectors. */
export function normsOf(gram: Gram): number[] {
  return gram.map((row, j) => Math.sqrt(row[j]!));
}
