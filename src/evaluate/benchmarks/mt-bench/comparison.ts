/** Two MT-Bench results, paired question by question: what one model scores above another in the same judge's eyes. */

import { z } from "zod";
import { inputError } from "../../../errors.ts";
import type { Term } from "../../../statistics/interval.ts";
import { pairedRatioDifference } from "../../../statistics/paired.ts";
import { emptyTable } from "../../../table.ts";
import type { Comparison, Difference } from "../benchmark.ts";
import { type MtBenchResult, mtBenchMeasures, type QuestionScores, SEED, UNIT } from "./result.ts";

const ratings = z.array(z.number());

export const comparedMtBench: z.ZodType = z.looseObject({
  judge: z.string(),
  per_prompt: z.array(
    z.looseObject({
      id: z.number(),
      category: z.string(),
      turn_1: z.number().nullable(),
      turn_2: z.number().nullable(),
      ratings: z.object({ turn_1: ratings, turn_2: ratings }).optional(),
    }),
  ),
});

/**
 * `a` minus `b`, measure by measure, over the judgments in which both have a rating: where one of the two has none, the
 * other's counts neither. More is better.
 */
export function compareMtBench(a: MtBenchResult, b: MtBenchResult): Comparison {
  if (a.judge !== b.judge) {
    throw inputError(
      "mt-bench",
      `${a.model} was judged by ${a.judge} and ${b.model} by ${b.judge}; scores of different judges do not compare`,
    );
  }
  const partners = new Map(b.per_prompt.map((scores) => [scores.id, scores]));
  const common: { readonly ours: QuestionScores; readonly theirs: QuestionScores }[] = [];
  for (const ours of a.per_prompt) {
    const theirs = partners.get(ours.id);
    if (theirs !== undefined) common.push({ ours: ratedIn(ours, theirs), theirs: ratedIn(theirs, ours) });
  }
  if (common.length === 0) {
    throw inputError("mt-bench", `${a.model} and ${b.model} have no question in common; nothing to compare`);
  }
  const metrics: Record<string, Difference> = emptyTable();
  for (const { name, term } of mtBenchMeasures(common.map(({ ours }) => ours))) {
    const first: Term[] = [];
    const second: Term[] = [];
    for (const { ours, theirs } of common) {
      const [ourTerm, theirTerm] = [term(ours), term({ ...theirs, category: ours.category })];
      if (ourTerm === null || theirTerm === null) continue;
      first.push(ourTerm);
      second.push(theirTerm);
    }
    if (first.length === 0) continue;
    const difference = pairedRatioDifference(first, second, SEED);
    metrics[name] = { ...difference, unit: UNIT, prompts: first.length };
  }
  return { model: a.model, against: b.model, prompts: common.length, metrics };
}

/** Without the turns in which the other has no rating. */
function ratedIn(scores: QuestionScores, other: QuestionScores): QuestionScores {
  return {
    ...scores,
    turn_1: other.turn_1 === null ? null : scores.turn_1,
    turn_2: other.turn_2 === null ? null : scores.turn_2,
  };
}
