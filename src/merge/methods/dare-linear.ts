/** DARE (Yu et al. 2024) with a plain sum: entries of each update are dropped by chance, the rest rescaled. */
import type { MergeMethod } from "../method.ts";
import { byChance } from "../steps/sparsify.ts";
import { updateMethod } from "../steps/update-method.ts";

export const dareLinear: MergeMethod = updateMethod({
  name: "dare_linear",
  summary: "entries of each update by chance, added to the base",
  paper: "DARE (Yu et al. 2024), arXiv:2311.03099",
  sparsifier: byChance,
  votes: false,
  normalizes: false,
});
