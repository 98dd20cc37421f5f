/** Task arithmetic (Ilharco et al. 2023): the models' updates, weighed and added to the base. */
import type { MergeMethod } from "../method.ts";

import { updateMethod } from "../steps/update-method.ts";

export const taskArithmetic: MergeMethod = updateMethod({
  name: "task_arithmetic",
  summary: "the base plus the weighted sum of the models' updates",
  paper: "Task arithmetic (Ilharco et al. 2023), arXiv:2212.04089",

  votes: false,
  normalizes: false,
});
