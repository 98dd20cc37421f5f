/**
 * The weighted average of the models' weights ("Model soups", Wortsman et al., ICML 2022, with weights):
 * `theta = sum_j w_j theta_j / sum_j w_j`, or without the division where `normalize` is false.
 */
import { z } from "zod";
import { CHUNK_ENTRIES, defineMethod, type MergeMethod } from "../method.ts";
import { sumOf, sumsToNothing } from "../steps/weights.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

export const linear: MergeMethod = defineMethod({
  name: "linear",
  summary: "weighted average of the models' weights",
  paper: "Model soups (Wortsman et al. 2022), arXiv:2203.05482",
  base: "model",
  options: z.strictObject({
    normalize: z.boolean().default(true).describe("divide by the sum of the weights"),
  }),
  modelOptions: z.strictObject({
    weight: z.number().describe("how much of this model; only the ratios count unless normalize is false"),
  }),
  problem: ({ normalize }, models) => (normalize ? sumsToNothing(models, "normalize") : undefined),
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
