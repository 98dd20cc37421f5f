/** DARE (Yu et al. 2024) with the sign election of TIES. */
import type { MergeMethod } from "../method.ts";
import { byChance } from "../steps/sparsify.ts";
import { updateMethod } from "../steps/update-method.ts";

export const dareTies: MergeMethod = updateMethod({
  name: "dare_ties",
  summary: "entries of each update by chance, per entry those of the elected sign",
  paper: "DARE (Yu et al. 2024), arXiv:2311.03099",
  sparsifier: byChance,
  votes: true,
  normalizes: false,
  differs:
    "shares of an entry are divided by the sizes of their weights; with a negative weight mergekit's divisor may be negative, which reverses the elected sign",
});
