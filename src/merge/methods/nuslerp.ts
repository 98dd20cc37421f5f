/**
 * Spherical interpolation by weights: like slerp with t = w_2 / (w_1 + w_2), of the weights themselves or of the
 * updates from a base, for whole tensors or with an angle for every row or column.
 */
import { z } from "zod";
import { defineMethod, type MergeMethod } from "../method.ts";
import { combination, type Gram, normsOf, solveGroups } from "../steps/gram.ts";
import { columnsOf, type Groups, rowsOf, WHOLE } from "../steps/groups.ts";

/** Weights that sum to less are taken as equal. */
const SMALLEST_SUM = 1e-6;
/** Squared sines up to it: the vectors are parallel, and interpolated linearly. */
const PARALLEL = 1e-16;

export const nuslerp: MergeMethod = defineMethod({
  name: "nuslerp",
  summary: "spherical interpolation of two models by weights, or of their updates from a base",
  paper: "mergekit (Goddard et al. 2024), arXiv:2403.13257",
  base: "optional",
  inputs: { least: 2, most: 2 },
  options: z.strictObject({
    nuslerp_flatten: z.boolean().default(true).describe("one angle for the whole tensor"),
    nuslerp_row_wise: z
      .boolean()
      .default(false)
      .describe("without nuslerp_flatten: an angle for every column (first axis) instead of every row (last axis)"),
  }),
  modelOptions: z.strictObject({
    weight: z.number().describe("how much of this model; only the ratio counts"),
  }),
  *tensor({ models, shape, size, options, modelOptions, memory }) {
    const [first, second] = modelOptions.map(({ weight }) => weight);
    const sum = first! + second!;
    const t = Math.abs(sum) < SMALLEST_SUM ? 0.5 : second! / sum;
    const groups = groupsOf(shape, size, options);
    const coefficients = yield* solveGroups(models, groups, (gram) => shares(gram, t), memory);
    return combination(models, groups, coefficients, memory);
  },
});

function groupsOf(
  shape: readonly number[],
  size: number,
  options: { nuslerp_flatten: boolean; nuslerp_row_wise: boolean },
): Groups {
  if (options.nuslerp_flatten || shape.length < 2 || size === 0) return WHOLE;
  return options.nuslerp_row_wise ? columnsOf(size / shape[0]!) : rowsOf(size, shape.at(-1)!);
}

function shares(gram: Gram, t: number): number[] {
  const [first, second] = normsOf(gram);
  const norms = first! * second!;
  const cosine = norms === 0 ? 0 : Math.min(1, Math.max(-1, gram[0]![1]! / norms));
  const squaredSine = 1 - cosine * cosine;
  if (squaredSine <= PARALLEL) return [1 - t, t];
  const angle = Math.acos(cosine);
  return [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
}
