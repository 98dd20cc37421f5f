/**
 * What a scorer is: it gives each answer a number, more is better, or null where the answer is out of the question. Adding
 * one is a file, and a line in `index.ts`.
 */
import type { StageContext } from "../../engine/context.ts";
import type { EndpointOptions } from "../../engine/endpoint/endpoint.ts";
import type { Engine } from "../../engine/engine.ts";
import type { JudgeOptions } from "../../evaluate/judges/judge.ts";
import type { Reasoning } from "../../evaluate/reasoning.ts";
import type { SubjectReference } from "../../evaluate/subjects/subject.ts";
import type { Candidates } from "../candidate.ts";

export interface AnswerSource {
  readonly subject: Exclude<SubjectReference, { readonly kind: "ensemble" }>;
  /** What computes it, where that is not what computes everything else. */
  readonly engine?: Engine;
}

export interface ScorerOptions {
  readonly sources: readonly AnswerSource[];
  readonly rule: string;
  readonly pattern?: string;
  readonly reasoning: Reasoning;
  readonly judge: JudgeOptions | null;
  readonly reward: EndpointOptions | null;
  /** Where what is paid for is kept, `F` of `F-judgments.jsonl`. */
  readonly keep: string;
}

export interface Scorer {
  /** [prompts][answers] */
  score(candidates: readonly Candidates[], signal: AbortSignal | undefined): Promise<(number | null)[][]>;
  dispose(): Promise<void>;
}

export interface ScorerKind {
  readonly name: string;
  /** One line for help. */
  readonly summary: string;
  open(options: ScorerOptions, context: StageContext): Promise<Scorer>;
}
