/** Breadcrumbs (Davari and Belilovsky 2024) with the sign election of TIES. */
import type { MergeMethod } from "../method.ts";
import { middle } from "../steps/sparsify.ts";
import { updateMethod } from "../steps/update-method.ts";

export const breadcrumbsTies: MergeMethod = updateMethod({
  name: "breadcrumbs_ties",
  summary: "each update without its largest and smallest entries, per entry those of the elected sign",
  paper: "Model Breadcrumbs (Davari and Belilovsky 2024), arXiv:2312.06795",
  sparsifier: middle,
  votes: true,
  normalizes: false,
  differs:
    "shares of an entry are divided by the sizes of their weights; with a negative weight mergekit's divisor may be negative, which reverses the elected sign",
});
