/**
 * The weighted average of the models' weights ("Model soups", Wortsman et al., ICML 2022, with weights):
 * `theta = sum_j w_j theta_j / sum_j w_j`, or without the division where `normalize` is false.
 */
import { z } from "zod";
import { CHUNK_ENTRIES, defineMethod, type MergeMethod } from "../method.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

const options = z.strictObject({
  normalize: z.boolean().default(true).describe("divide by the sum of the weights"),
});
const modelOptions = z.strictObject({
  weight: z.number().describe("how much of this model; only the ratios count unless normalize is false"),
});

/** Weights that cancel to less than this share of their size would blow rounding errors up beyond float32's own. */
const SMALLEST_SUM = 1e-7;

export const linear: MergeMethod = defineMethod({
  name: "linear",
  summary: "weighted average of the models' weights",
  paper: "Model soups (Wortsman et al. 2022), arXiv:2203.05482",
  base: "model",
  options,
  modelOptions,
  problem: ({ normalize }, models) => {
    const weights = models.map(({ weight }) => weight);
    const size = weights.reduce((total, weight) => total + Math.abs(weight), 0);
    if (!normalize || Math.abs(sumOf(weights)) > SMALLEST_SUM * size) return undefined;
    const list = weights.join(", ");
    return `the weights ${list} sum to ${sumOf(weights)}, so that nothing can be divided by it; change them or set normalize: false`;
  },
  tensor({ options: { normalize }, modelOptions }) {
    const given = modelOptions.map(({ weight }) => weight);
    const weights = Float64Array.from(given, (weight) => (normalize ? weight / sumOf(given) : weight));
    return {
      write: ({ count, models }, merged) => weigh(models, count, weights, merged),
    };
  },
});

function weigh(models: Float64Array, count: number, weights: Float64Array, merged: Float64Array): void {
  for (let i = 0; i < count; i++) {
    let value = 0;
    for (let j = 0, place = i; j < weights.length; j++, place += STRIDE) value += weights[j]! * models[place]!;
    merged[i] = value;
  }
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
