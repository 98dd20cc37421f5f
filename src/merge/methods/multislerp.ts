/**
 * Barycentric interpolation on the sphere: the models' directions u_j are projected to the plane that touches the
 * sphere at their normalised weighted mean m, averaged there with the weights, mapped back, and given the weighted mean
 * of the lengths. The tangent part of u_j is u_j - (u_j . m) m, and the weighted sum of these is
 * `sum_j w_j u_j - (sum_j w_j u_j . m) m`, which is zero, as m is the direction of that very sum: what is left of the
 * construction is m itself.
 */
import { z } from "zod";
import { defineMethod, type MergeMethod } from "../method.ts";
import { combination, type Gram, normsOf, solveGroups } from "../steps/gram.ts";
import { WHOLE } from "../steps/groups.ts";
import { sumOf, sumsToNothing } from "../steps/weights.ts";

export const multislerp: MergeMethod = defineMethod({
  name: "multislerp",
  summary: "weighted mean direction of any number of models, at their weighted mean length",
  paper: "mergekit (Goddard et al. 2024), arXiv:2403.13257",
  base: "optional",
  differs:
    "tensors whose weighted directions cancel, or that no model moved, are averaged linearly; mergekit stops there with three or more models",
  options: z.strictObject({
    normalize_weights: z.boolean().default(true).describe("divide the weights by their sum"),
    eps: z.number().min(0).default(1e-8).describe("added to norms before dividing by them"),
  }),
  modelOptions: z.strictObject({ weight: z.number().describe("how much of this model") }),
  problem: ({ normalize_weights: normalize }, models) =>
    normalize ? sumsToNothing(models, "normalize_weights") : undefined,
  *tensor({ models, options: { normalize_weights: normalize, eps }, modelOptions, memory }) {
    const given = modelOptions.map(({ weight }) => weight);
    const weights = normalize ? given.map((weight) => weight / sumOf(given)) : given;
    const coefficients = yield* solveGroups(models, WHOLE, (gram) => shares(gram, weights, eps), memory);
    return combination(models, WHOLE, coefficients, memory);
  },
});

function shares(gram: Gram, weights: readonly number[], eps: number): number[] {
  if (weights.length === 1) return [1];
  const norms = normsOf(gram);
  const ofMean = weights.map((weight, j) => (norms[j]! + eps === 0 ? 0 : weight / (norms[j]! + eps)));
  const squares = ofMean.reduce(
    (total, a, j) => total + a * ofMean.reduce((sum, b, k) => sum + b * gram[j]![k]!, 0),
    0,
  );
  const length = Math.sqrt(Math.max(0, squares));
  if (length <= eps) return [...weights];
  const scale = weights.reduce((total, weight, j) => total + weight * norms[j]!, 0);
  return ofMean.map((share) => (share * scale) / length);
}
