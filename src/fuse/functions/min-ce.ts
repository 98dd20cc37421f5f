/**
 * MinCE (Wan et al., "Knowledge Fusion of Large Language Models", ICLR 2024, section 3.3; kept by FuseChat): the
 * target is the distribution of whichever model gives the gold text the lowest cross-entropy. A tie goes to the pivot,
 * then to the source named first.
 */
import { allFrom, cheapest, type FusionFunction } from "./function.ts";

export const minCe: FusionFunction = {
  name: "min-ce",
  summary: "the model with the lowest cross-entropy on the gold text; a tie goes to the pivot",
  paper: "https://arxiv.org/abs/2401.10491",
  blends: false,
  shares: (costs) => allFrom(cheapest(costs, 0), costs),
};
