/**
 * What a benchmark is. Adding one is one file that exports a `Benchmark`, and one line in `index.ts`; its result is a
 * JSON document whose `metrics` every other part of the program can read (FORMATS, `evaluate`).
 */
import type { z } from "zod";
import type { StageContext } from "../../engine/context.ts";
import type { Interval, PairedDifference } from "../../statistics/interval.ts";
import type { Verdict } from "../../statistics/verdict.ts";
import type { JudgeEstimate, JudgeOptions } from "../judges/judge.ts";
import type { SubjectReference } from "../subjects/subject.ts";

/** A figure of one model, with its 95 % interval over prompts. */
export interface Metric extends Interval {
  readonly unit: string;
  /** Prompts (held-out: conversations) it rests on. */
  readonly prompts: number;
}

/** How much larger a figure of one model is than another's, on the same prompts. */
export interface Difference extends PairedDifference {
  readonly unit: string;
  readonly prompts: number;
  /** By `p_adjusted`; see there. */
  readonly verdict?: Verdict;
  /**
   * Holm's. There is one family of tests: the benchmark's headline metric, over all pairs of a table. Differences of
   * other metrics, of skills and of categories are outside it and have neither of the two.
   */
  readonly p_adjusted?: number;
}

/** Two models on what both have: `metrics` are the first one's figures minus the second's. */
export interface Comparison {
  readonly model: string;
  readonly against: string;
  /** Prompts that both models have. */
  readonly prompts: number;
  readonly metrics: Readonly<Record<string, Difference>>;
}

export interface BenchmarkResult {
  readonly benchmark: string;
  readonly model: string;
  readonly metrics: Readonly<Record<string, Metric>>;
}

/** A setting of a benchmark: an option of `evaluate BENCHMARK` and a key of its entry in a recipe. */
export interface BenchmarkOption {
  /** snake_case, as in recipes and documents; `--kebab-case` on the command line. */
  readonly name: string;
  readonly kind: "path" | "text" | "number" | "integer" | "flag";
  /** One line, with the unit. */
  readonly summary: string;
  readonly default?: string | number | boolean;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  /** Names finished work, perhaps of other models: no key of a recipe, whose models answer for themselves. */
  readonly finishedWork?: true;
  /** Bounds of a number, both inclusive. */
  readonly min?: number;
  readonly max?: number;
}

export type BenchmarkSettings = Readonly<Record<string, string | number | boolean | undefined>>;

export interface BenchmarkRequest {
  /** null where finished judgments of the benchmark's own files are scored. */
  readonly subject: SubjectReference | null;
  /** By the names of `options`, defaults filled in, paths absolute. */
  readonly settings: BenchmarkSettings;
  readonly judge: JudgeOptions | null;
  /** Folder for answers and judgments, which another call goes on from; null keeps nothing. */
  readonly out: string | null;
  /** Seeds sampling and the order in which a judge sees two answers. */
  readonly seed: string;
}

/** What an evaluation will ask for, known before the first call. */
export interface EvaluationEstimate {
  readonly prompts: number;
  readonly judge: JudgeEstimate | null;
}

export interface Benchmark<Result extends BenchmarkResult = BenchmarkResult> {
  readonly name: string;
  /** One line for lists. */
  readonly summary: string;
  /** Where it is defined. */
  readonly source: string;
  /** `weights`: reads probabilities, so needs a folder; `answers`: anything that answers. */
  readonly reads: "weights" | "answers";
  readonly judged: boolean;
  /** The metric that tables, gates (`fused.held_out`) and charts mean when they name the benchmark alone. */
  readonly metric: string;
  /** Names of its metrics, without what follows a `/` (a skill, a category); misspelt gates are told by them. */
  readonly metrics?: readonly string[];
  /** The option that says whose finished judgments are scored where no model is named; absent where none can be. */
  readonly finished?: string;
  /** Which way its metrics are better. */
  readonly better: "less" | "more";
  readonly options: readonly BenchmarkOption[];
  estimate(request: BenchmarkRequest): Promise<EvaluationEstimate>;
  evaluate(request: BenchmarkRequest, context: StageContext): Promise<Result>;
  /** What `compare` takes from a document: one that was read from a file is checked against it first. */
  readonly compared: z.ZodType;
  /** `a` minus `b`, paired prompt by prompt. Both documents are this benchmark's own, perhaps read from a file. */
  compare(a: Result, b: Result): Comparison;
  /** The result for people, line by line. */
  describe(result: Result): string[];
}
