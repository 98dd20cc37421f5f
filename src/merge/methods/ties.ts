/** TIES (Yadav et al. 2023): trim each update to its largest entries, elect a sign per entry, average those that have it. */
import type { MergeMethod } from "../method.ts";
import { largest } from "../steps/sparsify.ts";
import { updateMethod } from "../steps/update-method.ts";

export const ties: MergeMethod = updateMethod({
  name: "ties",
  summary: "largest entries of each update, per entry those of the elected sign",
  paper: "TIES-Merging (Yadav et al. 2023), arXiv:2306.01708",
  sparsifier: largest,
  votes: true,
  normalizes: true,
  differs:
    "shares of an entry are divided by the sizes of their weights; with a negative weight mergekit's divisor may be negative, which reverses the elected sign",
});
