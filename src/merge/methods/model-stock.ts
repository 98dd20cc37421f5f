/**
 * Model Stock (Jang et al. 2024): the mean of N fine-tuned models, drawn back to the base they came from by how little
 * their updates agree. Where they are opposed, c below 0, it lies beyond the base. With the mean cosine c of all pairs of updates, `base + t (mean - base)`, t = N c / (1 + (N-1) c).
 */
import { z } from "zod";
import { defineMethod, type MergeMethod } from "../method.ts";
import { combination, type Gram, normsOf, solveGroups } from "../steps/gram.ts";
import { rowsOf, WHOLE } from "../steps/groups.ts";

const OPPOSED =
  "the updates are opposed on average (their mean cosine is below 0), which makes the factor negative: the result lies beyond base_model, away from the models";
/** Denominators of t that count as zero: t is 0 then. */
const SMALLEST_DENOMINATOR = 1e-6;
/** mergekit: the smallest product of two norms. */
const MERGEKIT_NORMS = 1e-6;

export const modelStock: MergeMethod = defineMethod({
  name: "model_stock",
  summary: "the models' mean, drawn to the base by how little their updates agree",
  paper: "Model Stock (Jang et al. 2024), arXiv:2403.19522",
  base: "origin",
  inputs: { least: 2 },
  differs:
    "cosines are exact however small the updates are; mergekit divides by at least 1e-6, which with filter_wise turns a factor of 0.75 into 0.01 at updates of 1e-5",
  options: z.strictObject({
    filter_wise: z.boolean().default(false).describe("a factor for every row (first axis) instead of every tensor"),
  }),
  modelOptions: z.strictObject({}),
  *tensor({ models, shape, size, options: { filter_wise: rows }, likeMergekit, memory }) {
    const groups = rows && shape.length > 1 && size > 0 ? rowsOf(size, size / shape[0]!) : WHOLE;
    const smallest = likeMergekit ? MERGEKIT_NORMS : 0;
    const coefficients = yield* solveGroups(
      models,
      groups,
      (gram) => {
        const share = factor(gram, smallest) / models;
        return gram.map(() => share);
      },
      memory,
    );
    const merged = combination(models, groups, coefficients, memory);
    return isOpposed(coefficients) ? { ...merged, remark: OPPOSED } : merged;
  },
});

/** Of rows a few are opposed by chance. */
function isOpposed(coefficients: Float64Array): boolean {
  return coefficients.filter((share) => share < 0).length > coefficients.length / 2;
}

function factor(gram: Gram, smallest: number): number {
  const norms = normsOf(gram);
  const count = norms.length;
  let sum = 0;
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const product = Math.max(norms[a]! * norms[b]!, smallest);
      sum += product === 0 ? 0 : gram[a]![b]! / product;
    }
  }
  const cosine = sum / ((count * (count - 1)) / 2);
  const denominator = 1 + (count - 1) * cosine;
  return Math.abs(denominator) < SMALLEST_DENOMINATOR ? 0 : (count * cosine) / denominator;
}
