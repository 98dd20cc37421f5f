/** DELLA (Deep et al. 2024) with a plain sum. */
import type { MergeMethod } from "../method.ts";
import { byRank } from "../steps/sparsify.ts";
import { updateMethod } from "../steps/update-method.ts";

export const dellaLinear: MergeMethod = updateMethod({
  name: "della_linear",
  summary: "larger entries of each update more likely, added to the base",
  paper: "DELLA-Merging (Deep et al. 2024), arXiv:2406.11617",
  sparsifier: byRank,
  votes: false,
  normalizes: false,
  differs: "tensors whose last axis is 1 are drawn with the probability density, where mergekit stops",
});
