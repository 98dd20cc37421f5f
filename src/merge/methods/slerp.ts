/**
 * Spherical linear interpolation (Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985) between two
 * models, each tensor one vector: `sin((1-t)a)/sin a x_0 + sin(t a)/sin a x_1`, where a is the angle between them and
 * the x are taken at their own lengths.
 */
import { z } from "zod";
import { defineMethod, type MergeMethod } from "../method.ts";
import { combination, type Gram, normsOf, solveGroups } from "../steps/gram.ts";
import { WHOLE } from "../steps/groups.ts";

/** Vectors whose cosine is larger are as good as parallel: they are interpolated linearly. */
const PARALLEL = 0.9995;
/** Norms up to it count as 1, so that a tensor of zeros has some direction: cosine 0 with all others. */
const SMALLEST_NORM = 1e-8;

export const slerp: MergeMethod = defineMethod({
  name: "slerp",
  summary: "spherical interpolation between base_model (t = 0) and one other model (t = 1)",
  paper: "Animating rotation with quaternion curves (Shoemake 1985), doi:10.1145/325165.325242",
  base: "first",
  inputs: { least: 2, most: 2 },
  options: z.strictObject({
    t: z.number().describe("how far from base_model to the other model; may lie outside of 0 to 1"),
  }),
  modelOptions: z.strictObject({}),
  *tensor({ models, options: { t }, memory }) {
    const coefficients = yield* solveGroups(models, WHOLE, (gram) => shares(gram, t), memory);
    return combination(models, WHOLE, coefficients, memory);
  },
});

function shares(gram: Gram, t: number): number[] {
  const [first, second] = normsOf(gram).map((norm) => (norm > SMALLEST_NORM ? norm : 1));
  const cosine = gram[0]![1]! / (first! * second!);
  if (Math.abs(cosine) > PARALLEL) return [1 - t, t];
  const angle = Math.acos(cosine);
  return [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
}
