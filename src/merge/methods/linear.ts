/**
 * The weighted average of the models' weights ("Model soups", Wortsman et al., ICML 2022, with weights):
 * `theta = sum_j w_j theta_j / sum_j w_j`, or without the division where `normalize` is false.
 */
import { z } from "zod";
import { addWeights } from "../kernels/index.ts";
import { defineMethod, type MergeMethod } from "../method.ts";
import { sumOf, sumsToNothing } from "../steps/weights.ts";

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
  tensor({ options: { normalize }, modelOptions, memory }) {
    const given = modelOptions.map(({ weight }) => weight);
    const weights = memory.doubles("weights", given.length);
    weights.set(normalize ? given.map((weight) => weight / sumOf(given)) : given);
    return {
      write: ({ models, count }, merged) => addWeights(models, weights, weights.length, count, merged),
    };
  },
});
