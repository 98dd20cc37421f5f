/** DELLA (Deep et al. 2024): entries are dropped by chance, small ones of a row more likely, then a sign is elected per entry. */
import type { MergeMethod } from "../method.ts";
import { byRank } from "../steps/sparsify.ts";
import { updateMethod } from "../steps/update-method.ts";

export const della: MergeMethod = updateMethod({
  name: "della",
  summary: "larger entries of each update more likely, per entry those of the elected sign",
  paper: "DELLA-Merging (Deep et al. 2024), arXiv:2406.11617",
  sparsifier: byRank,
  votes: true,
  normalizes: true,
  differs: "tensors whose last axis is 1 are drawn with the probability density, where mergekit stops; and as for ties",
});
