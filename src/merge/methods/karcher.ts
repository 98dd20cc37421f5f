/**
 * The Karcher mean of the models' directions: the point on the sphere with the smallest sum of squared angles to them
 * (Karcher, "Riemannian center of mass and mollifier smoothing", 1977), at the mean of their lengths. Found by stepping
 * along the mean of the logarithms; all points stay combinations of the inputs, so the iteration runs on their
 * coefficients alone.
 */
import { z } from "zod";
import { defineMethod, type MergeMethod } from "../method.ts";
import { combination, type Gram, normsOf, solveGroups } from "../steps/gram.ts";
import { WHOLE } from "../steps/groups.ts";

export const karcher: MergeMethod = defineMethod({
  name: "karcher",
  summary: "the point on the sphere nearest to all models, at their mean length",
  paper: "Riemannian center of mass and mollifier smoothing (Karcher 1977), doi:10.1002/cpa.3160300502",
  base: "model",
  differs: "tensors of small norm (up to tol) have a direction too, where mergekit leaves them out or writes zeros",
  options: z.strictObject({
    max_iter: z.number().int().min(0).max(10_000).default(10).describe("steps at most"),
    tol: z.number().min(0).default(1e-5).describe("radians; a smaller step ends the search"),
  }),
  modelOptions: z.strictObject({}),
  *tensor({ models, options: { max_iter: steps, tol }, likeMergekit, memory }) {
    const smallest = likeMergekit ? tol : 0;
    const coefficients = yield* solveGroups(models, WHOLE, (gram) => shares(gram, steps, tol, smallest), memory);
    return combination(models, WHOLE, coefficients, memory);
  },
});

/** Coefficients of the inputs. Inside, vectors are coefficients of the unit vectors of inputs longer than `smallest`. */
function shares(gram: Gram, steps: number, tol: number, smallest: number): number[] {
  const norms = normsOf(gram);
  const scale = norms.reduce((total, norm) => total + norm, 0) / norms.length;
  const known = norms.map((norm) => norm > smallest);
  const count = known.filter(Boolean).length;
  if (count === 0) return norms.map(() => 0);
  const share = 1 / norms.length;
  const cosines = gram.map((row, j) =>
    Array.from(row, (product, k) => (known[j] && known[k] ? product / (norms[j]! * norms[k]!) : 0)),
  );
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((total, value, j) => total + value * cosines[j]!.reduce((sum, cosine, k) => sum + cosine * b[k]!, 0), 0);
  const length = (a: readonly number[]): number => Math.sqrt(Math.max(0, dot(a, a)));
  const unit = (j: number): number[] => norms.map((_, k) => Number(k === j));

  const centre = norms.map((_, j) => (known[j] ? 1 / count : 0));
  const spread = length(centre);
  let mean = spread < Math.max(tol, Number.EPSILON) ? unit(known.indexOf(true)) : centre.map((c) => c / spread);
  for (let step = 0; step < steps; step++) {
    let tangent = norms.map(() => 0);
    for (const [j, isKnown] of known.entries()) {
      if (!isKnown) continue;
      const cosine = Math.min(1, Math.max(-1, dot(mean, unit(j))));
      const angle = Math.acos(cosine);
      const sine = Math.sin(angle);
      // Opposite to the mean no direction is the shortest.
      if (angle < tol || sine < Number.EPSILON) continue;
      const factor = (share * angle) / sine;
      tangent = tangent.map((value, k) => value + factor * (Number(k === j) - cosine * mean[k]!));
    }
    const distance = length(tangent);
    if (distance < tol || distance === 0) break;
    const moved = mean.map((value, k) => Math.cos(distance) * value + (Math.sin(distance) / distance) * tangent[k]!);
    const norm = length(moved);
    mean = moved.map((value) => value / norm);
  }
  return mean.map((value, j) => (known[j] ? (scale * value) / norms[j]! : 0));
}
