/** Breadcrumbs (Davari and Belilovsky 2024): updates without their outliers and without their smallest entries, added up. */
import type { MergeMethod } from "../method.ts";
import { middle } from "../steps/sparsify.ts";
import { updateMethod } from "../steps/update-method.ts";

export const breadcrumbs: MergeMethod = updateMethod({
  name: "breadcrumbs",
  summary: "each update without its largest and smallest entries, added to the base",
  paper: "Model Breadcrumbs (Davari and Belilovsky 2024), arXiv:2312.06795",
  sparsifier: middle,
  votes: false,
  normalizes: false,
});
