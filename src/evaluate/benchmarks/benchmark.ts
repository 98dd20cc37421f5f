/**
 * What a benchmark is. Adding one is one file that exports a `Benchmark`, and one line in `index.ts`; its result is a
 * JSON document whose `metrics` every other part of the program can read (FORMATS, `evaluate`).
 */
import type { Conversation } from "../../data/conversation.ts";
import type { StageContext } from "../../engine/context.ts";
import type { Interval, PairedDifference, Verdict } from "../statistics.ts";

/** A figure of one model, with its 95 % interval over conversations. */
export interface Metric extends Interval {
  readonly unit: string;
  /** Conversations it rests on. */
  readonly conversations: number;
}

/** How much larger a figure of one model is than another's, on the same conversations. */
export interface Difference extends PairedDifference {
  readonly unit: string;
  readonly conversations: number;
  readonly verdict: Verdict;
}

/** Two models on what both could read: `metrics` are the first one's figures minus the second's. */
export interface Comparison {
  readonly model: string;
  readonly against: string;
  /** Conversations that both models have. */
  readonly conversations: number;
  readonly metrics: Readonly<Record<string, Difference>>;
}

export interface BenchmarkResult {
  readonly benchmark: string;
  readonly model: string;
  readonly metrics: Readonly<Record<string, Metric>>;
}

export interface BenchmarkOptions {
  /** Model folder. */
  readonly model: string;
  /** Model folder to compare with. */
  readonly against?: string;
  readonly conversations: readonly Conversation[];
  /** Tokens a conversation is cut to. */
  readonly maxLength: number;
  /** How the result calls the model; its folder's name where not given. */
  readonly name?: string;
  /** The same for `against`. */
  readonly againstName?: string;
}

export interface Benchmark {
  readonly name: string;
  /** One line for lists. */
  readonly summary: string;
  /** Where it is defined. */
  readonly source: string;
  evaluate(options: BenchmarkOptions, context: StageContext): Promise<BenchmarkResult>;
  /** The result for people, line by line. */
  describe(result: BenchmarkResult): string[];
}
