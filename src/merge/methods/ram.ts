/**
 * RAM, "Reinforced Agent Merging" (arXiv:2601.13572): models trained by reinforcement learning move few entries, and
 * mostly different ones. Every entry takes the mean update of the models that moved it, so that those which left it
 * alone do not thin it out.
 */
import type { MergeMethod } from "../method.ts";
import { moverMethod } from "../steps/mover-method.ts";

export const ram: MergeMethod = moverMethod({
  name: "ram",
  summary: "per entry the mean update of the models that moved it",
  lengthens: false,
});
