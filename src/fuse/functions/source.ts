/**
 * Plain distillation (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015): the target is the source's
 * distribution, whatever the pivot would have said; of several sources that of the one with the lowest cross-entropy.
 * Only what no source has read is the pivot's own.
 */
import { allFrom, cheapest, type FusionFunction } from "./function.ts";

export const source: FusionFunction = {
  name: "source",
  summary: "the source, however good the pivot is; of several sources the one with the lowest cross-entropy",
  paper: "https://arxiv.org/abs/1503.02531",
  blends: false,
  shares: (costs) => allFrom(Math.max(0, cheapest(costs, 1)), costs),
};
