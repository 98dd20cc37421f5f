/**
 * Inner products of the models' tensors, or of their updates where there is a base. Everything that looks at norms and
 * angles is a function of these few numbers, and its result a linear combination of the inputs: one reading for the
 * products, one to combine, and nothing of a tensor's size in between.
 */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk, type Pass } from "../chunk.ts";
import { addUpdates, addWeights, product } from "../kernels/index.ts";
import type { MergedTensor } from "../method.ts";
import { forEachRun, type Groups } from "./groups.ts";
import { createUpdates } from "./updates.ts";

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
  memory: BlockMemory,
): Generator<Pass, Float64Array, void> {
  const pairs: [number, number][] = [];
  for (let a = 0; a < models; a++) for (let b = a; b < models; b++) pairs.push([a, b]);
  const products = new Float64Array(groups.count * pairs.length);
  const updatesOf = createUpdates(models, memory);
  yield (chunk) => {
    const vectors = updatesOf(chunk);
    forEachRun(groups, chunk, (group, from, to) => {
      for (const [index, [a, b]] of pairs.entries()) {
        products[group * pairs.length + index]! += productOf(vectors, a * STRIDE, b * STRIDE, from, to);
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

/** Runs this short, such as the single entries of columns, cost less than calling a kernel. */
const SHORT = 16;

function productOf(vectors: Float64Array, a: number, b: number, from: number, to: number): number {
  // A kernel takes four at a time, and finds zeros behind a chunk but not behind a run.
  const inFours = from === 0 || (to - from) % 4 === 0;
  if (to - from >= SHORT && inFours) return product(vectors, a + from, b + from, to - from);
  let sum = 0;
  for (let i = from; i < to; i++) sum += vectors[a + i]! * vectors[b + i]!;
  return sum;
}

/** `sum_j c_j x_j`, or `base + sum_j c_j (x_j - base)` where there is a base; `coefficients` is `[groups, models]`. */
export function combination(
  models: number,
  groups: Groups,
  coefficients: Float64Array,
  memory: BlockMemory,
): MergedTensor {
  const own = memory.doubles("coefficients", models);
  const combine = ({ models: values, base, count }: Chunk, merged: Float64Array): void => {
    if (base.length === 0) addWeights(values, own, models, count, merged);
    else addUpdates(values, base, own, models, 1, count, merged);
  };
  const ofGroup = (group: number): void => own.set(coefficients.subarray(group * models, (group + 1) * models));
  if (groups.count === 1) {
    ofGroup(0);
    return { write: combine };
  }
  return {
    write: (chunk, merged) => {
      forEachRun(groups, chunk, (group, from, to) => {
        ofGroup(group);
        if (to - from < SHORT) {
          for (let i = from; i < to; i++) merged[i] = combinedEntry(chunk, own, i);
          return;
        }
        const run = {
          start: 0,
          count: to - from,
          models: chunk.models.subarray(from),
          base: chunk.base.subarray(from),
        };
        combine(run, merged.subarray(from));
      });
    },
  };
}

function combinedEntry({ models, base }: Chunk, coefficients: Float64Array, i: number): number {
  const origin = base.length === 0 ? 0 : base[i]!;
  let sum = 0;
  for (let j = 0, place = i; j < coefficients.length; j++, place += STRIDE) {
    sum += coefficients[j]! * (models[place]! - origin);
  }
  return origin + sum;
}

/** Norms of the vectors. */
export function normsOf(gram: Gram): number[] {
  return gram.map((row, j) => Math.sqrt(row[j]!));
}
