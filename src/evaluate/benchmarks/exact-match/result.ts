/** The result document of exact-match, and two of them compared prompt by prompt. */

import { z } from "zod";
import type { LeftOut } from "../../../data/irregular.ts";
import { inputError } from "../../../errors.ts";
import { signTest } from "../../../statistics/exact.ts";
import { pairedMeanDifference } from "../../../statistics/paired.ts";
import { proportionInterval } from "../../../statistics/proportion.ts";
import { emptyTable } from "../../../table.ts";
import type { Reasoning } from "../../reasoning.ts";
import type { BenchmarkResult, Comparison, Difference, Metric } from "../benchmark.ts";
import { leftOutOf } from "../conversations.ts";

const UNIT = "%";
const METRIC = "accuracy";

export interface ExactMatchPrompt {
  readonly id: string;
  readonly skill?: string;
  readonly correct: boolean;
  /** null where the rule finds nothing in the answer. */
  readonly extracted: string | null;
  readonly expected: string;
  readonly answer: string;
  /** `length`: cut at `max_tokens`. */
  readonly finish: "stop" | "length";
}

export interface ExactMatchResult extends BenchmarkResult {
  readonly benchmark: "exact-match";
  readonly rule: string;
  readonly pattern?: string;
  readonly max_tokens: number;
  readonly temperature: number;
  /** Whether the rule reads answers with the reasoning before them. */
  readonly reasoning: Reasoning;
  readonly prompts: number;
  /** Answers in which the rule finds nothing; they count as wrong. */
  readonly unparsed: number;
  /** Of those, answers with no text at all. */
  readonly empty: number;
  /** Answers cut at `max_tokens`. */
  readonly cut: number;
  /** Prompts that the model's template refuses or its context is too short for; they count nowhere. */
  readonly refused: number;
  /** Records of the data that cannot be used, by reason; absent where there are none. */
  readonly left_out?: readonly LeftOut[];
  readonly per_prompt: readonly ExactMatchPrompt[];
}

/** How it was asked: what two results must share to be compared. */
export type ExactMatchSettings = Pick<
  ExactMatchResult,
  "rule" | "pattern" | "max_tokens" | "temperature" | "reasoning"
>;

export function exactMatchResult(
  model: string,
  settings: ExactMatchSettings,
  prompts: readonly ExactMatchPrompt[],
  refused: number,
  leftOut: readonly LeftOut[] = [],
): ExactMatchResult {
  const metrics: Record<string, Metric> = emptyTable();
  for (const [name, chosen] of measures(prompts)) {
    const { value, low, high } = proportionInterval(chosen.filter(({ correct }) => correct).length, chosen.length);
    metrics[name] = { value: 100 * value, low: 100 * low, high: 100 * high, unit: UNIT, prompts: chosen.length };
  }
  return {
    benchmark: "exact-match",
    model,
    metrics,
    ...settings,
    prompts: prompts.length,
    unparsed: prompts.filter(({ extracted }) => extracted === null).length,
    empty: prompts.filter(({ answer }) => answer.trim() === "").length,
    cut: prompts.filter(({ finish }) => finish === "length").length,
    refused,
    ...leftOutOf(leftOut),
    per_prompt: prompts,
  };
}

/** `accuracy`, then the same for every skill in order of appearance. */
function measures<T extends { readonly skill?: string }>(prompts: readonly T[]): [string, readonly T[]][] {
  const skills = [...new Set(prompts.map(({ skill }) => skill))].filter((skill) => skill !== undefined);
  return [
    [METRIC, prompts],
    ...skills.map((skill): [string, T[]] => [`${METRIC}/${skill}`, prompts.filter((prompt) => prompt.skill === skill)]),
  ];
}

export const comparedExactMatch: z.ZodType = z.looseObject({
  rule: z.string(),
  pattern: z.string().optional(),
  // Of an earlier version there is none.
  reasoning: z.string().optional(),
  per_prompt: z.array(z.looseObject({ id: z.string(), skill: z.string().optional(), correct: z.boolean() })),
});

/**
 * `a` minus `b` in percentage points, on the prompts that both were asked. The interval resamples prompts; p is the
 * sign test's on those where one of them alone is right, McNemar's exact test.
 */
export function compareExactMatch(a: ExactMatchResult, b: ExactMatchResult): Comparison {
  if (a.rule !== b.rule || a.pattern !== b.pattern) {
    throw inputError("exact-match", `${a.model} was read by the rule ${a.rule}, ${b.model} by ${b.rule}; use one rule`);
  }
  const [ours, other] = [a.reasoning ?? "keep", b.reasoning ?? "keep"];
  if (ours !== other) {
    throw inputError(
      "exact-match",
      `${a.model} was read with --reasoning ${ours}, ${b.model} with --reasoning ${other}; use one of the two`,
    );
  }
  const theirs = new Map(b.per_prompt.map((prompt) => [prompt.id, prompt]));
  const common = a.per_prompt.flatMap((ours) => {
    const partner = theirs.get(ours.id);
    return partner === undefined ? [] : [{ ...ours, ours: percent(ours), theirs: percent(partner) }];
  });
  if (common.length === 0) {
    throw inputError("exact-match", `${a.model} and ${b.model} have no prompt in common; nothing to compare`);
  }
  const metrics: Record<string, Difference> = emptyTable();
  for (const [name, pairs] of measures(common)) {
    const ours = pairs.map((pair) => pair.ours);
    const partners = pairs.map((pair) => pair.theirs);
    const p = signTest(ours.map((value, i) => value - partners[i]!));
    const difference = { ...pairedMeanDifference(ours, partners, "exact-match"), p };
    metrics[name] = { ...difference, unit: UNIT, prompts: pairs.length };
  }
  return { model: a.model, against: b.model, prompts: common.length, metrics };
}

function percent({ correct }: ExactMatchPrompt): number {
  return correct ? 100 : 0;
}
