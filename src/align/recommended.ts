/**
 * How masses are best carried over, judged by fidelity (`fidelity.ts`; docs/decisions.md has the table): with `split`,
 * the chain rule for the label and division by the pivot's own expectation bring the KL divergence to the true pivot
 * distribution from 0.64 to between 0.35 and 0.42 nats where the pivot's tokens are the longer ones, and never worsen it
 * elsewhere. What rows within tokens and beside lone spaces get is judged by what targets teach in the end
 * (`bench/limit.mjs`): 3.9 thousandths of a nat per byte from the truth without, 1.3 with. Recipes use this where they say
 * nothing; `alignDistributions` itself keeps to the letter of the strategy. The other strategies are there for comparison
 * with their papers, so they stay as they are defined.
 */
import { DEFAULT_LABEL_MASS, type LabelMass } from "./label-mass.ts";
import { DEFAULT_DIVISION, type Division } from "./preference.ts";
import { DEFAULT_WITHIN, type Within } from "./within/within.ts";

export interface Transfer {
  readonly labelMass: LabelMass;
  readonly divide: Division;
  readonly within: Within;
}

/** `vocabulary` is the name of a strategy. */
export function recommendedTransfer(vocabulary: string): Transfer {
  return vocabulary === "split"
    ? { labelMass: "chain", divide: "pivot", within: "conditional" }
    : { labelMass: DEFAULT_LABEL_MASS, divide: DEFAULT_DIVISION, within: DEFAULT_WITHIN };
}
