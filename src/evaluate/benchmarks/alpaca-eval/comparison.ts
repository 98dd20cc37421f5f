/** Two AlpacaEval results, paired instruction by instruction. */

import { z } from "zod";
import { inputError } from "../../../errors.ts";
import { pairedMeanDifference } from "../../../statistics/paired.ts";
import { emptyTable } from "../../../table.ts";
import type { Comparison, Difference } from "../benchmark.ts";
import { type AlpacaEvalPrompt, type AlpacaEvalResult, SEED, UNIT } from "./result.ts";

const MEASURES: readonly { readonly name: string; of(prompt: AlpacaEvalPrompt): number | null }[] = [
  { name: "win_rate", of: ({ preference }) => (preference === null ? null : 100 * (preference - 1)) },
  { name: "length_controlled_win_rate", of: ({ length_controlled = null }) => length_controlled },
  {
    name: "discrete_win_rate",
    of: ({ preference }) => (preference === null ? null : 50 * (Math.sign(preference - 1.5) + 1)),
  },
];

export const comparedAlpacaEval: z.ZodType = z.looseObject({
  baseline: z.string(),
  judge: z.string(),
  per_prompt: z.array(
    z.looseObject({
      instruction: z.string(),
      preference: z.number().nullable(),
      length_controlled: z.number().optional(),
    }),
  ),
});

/** `a` minus `b`, over the instructions for which both have the figure. More is better. */
export function compareAlpacaEval(a: AlpacaEvalResult, b: AlpacaEvalResult): Comparison {
  for (const [what, ours, theirs] of [
    ["against", a.baseline, b.baseline],
    ["by", a.judge, b.judge],
  ]) {
    if (ours === theirs) continue;
    throw inputError(
      "alpaca-eval",
      `${a.model} was judged ${what} ${ours} and ${b.model} ${what} ${theirs}; these win rates do not compare`,
    );
  }
  const partners = new Map(b.per_prompt.map((prompt) => [prompt.instruction, prompt]));
  const common = a.per_prompt.flatMap((ours) => {
    const theirs = partners.get(ours.instruction);
    return theirs === undefined ? [] : [{ ours, theirs }];
  });
  if (common.length === 0) {
    throw inputError("alpaca-eval", `${a.model} and ${b.model} have no instruction in common; nothing to compare`);
  }
  const metrics: Record<string, Difference> = emptyTable();
  for (const { name, of } of MEASURES) {
    const first: number[] = [];
    const second: number[] = [];
    for (const { ours, theirs } of common) {
      const [one, other] = [of(ours), of(theirs)];
      if (one === null || other === null) continue;
      first.push(one);
      second.push(other);
    }
    if (first.length === 0) continue;
    const difference = pairedMeanDifference(first, second, SEED);
    metrics[name] = { ...difference, unit: UNIT, prompts: first.length };
  }
  return { model: a.model, against: b.model, prompts: common.length, metrics };
}
