/** The result document of AlpacaEval 2.0: figures, what they rest on, and every instruction's own row. */
import type { Reasoning } from "../../reasoning.ts";
import type { BenchmarkResult } from "../benchmark.ts";

/** Seeds the resampling: two models' intervals are of the same draws. */
export const SEED = "alpaca-eval";
export const UNIT = "%";

export interface AlpacaEvalPrompt {
  /** Place of the instruction, from 0. */
  readonly id: string;
  /** The first 16 hexadecimal digits of the instruction's SHA-256: rows of two models are paired by it. */
  readonly instruction: string;
  /** 1: the baseline's answer, 2: the model's; null where the judge's answer could not be read. */
  readonly preference: number | null;
  /** Unicode code points of the model's answer and of the baseline's. */
  readonly length: number;
  readonly baseline_length: number;
  /** Percent; their mean is the length-controlled win rate, and each moves as this instruction moves it. */
  readonly length_controlled?: number;
  /** With both orders asked, the preference where the baseline's answer stands first, and where the model's does. */
  readonly orders?: Orders;
}

export type Orders = readonly [baselineFirst: number | null, modelFirst: number | null];

/** The columns of the benchmark's leaderboard files, by their names there. Percent, counts, code points. */
export interface LeaderboardRow {
  readonly win_rate: number;
  /** Standard deviation of preferences over root n. */
  readonly standard_error: number;
  readonly n_wins: number;
  readonly n_wins_base: number;
  readonly n_draws: number;
  readonly n_total: number;
  readonly discrete_win_rate: number;
  /** Of the model's answers, cut to a whole number as there. */
  readonly avg_length: number;
  readonly length_controlled_winrate?: number;
  /** Of the predictions about their mean, as there: it does not know that the model was fitted, and is far too small. */
  readonly lc_standard_error?: number;
}

export interface LengthCoefficients {
  /** Of tanh of the scaled length difference, baseline minus model. */
  readonly length: number;
  readonly difficulty: number;
  readonly model: number;
}

export interface LengthModelFigures {
  /** Inverse strength of the L1 penalty that the cross-validation chose. */
  readonly cost: number;
  readonly coefficients: LengthCoefficients;
  /** The same at the optimum, which the benchmark's solver stops short of. */
  readonly at_optimum: { readonly length_controlled_win_rate: number; readonly coefficients: LengthCoefficients };
}

/** What both orders say of the judge's taste for a place. */
export interface OrderFigures {
  /** Instructions with a preference in both orders. */
  readonly prompts: number;
  /** Of these, where the other order has another winner. */
  readonly disagree: number;
  /** Mean preference for the answer that stands first, percent; 50 is a judge that does not look at the place. */
  readonly first_wins: number;
}

export interface UnparsedAnswer {
  readonly id: string;
  /** What the judge said, or why that is not known. */
  readonly answer: string;
}

export interface AlpacaEvalResult extends BenchmarkResult {
  readonly benchmark: "alpaca-eval";
  readonly baseline: string;
  readonly judge: string;
  /** Instructions; those without a preference among them count in no win rate. */
  readonly prompts: number;
  readonly unparsed: readonly UnparsedAnswer[];
  readonly empty_outputs: number;
  /** Where the model was asked: answers cut at the limit of tokens, and instructions its template refuses. */
  readonly cut_outputs?: number;
  readonly refused?: number;
  /** As the server counted them, kept replies among them; absent where it does not count. */
  readonly judge_tokens?: { readonly questions: number; readonly prompt: number; readonly answer: number };
  /** Whether the judge was shown the model's reasoning; absent of finished annotations. */
  readonly reasoning?: Reasoning;
  readonly orders?: OrderFigures;
  readonly leaderboard: LeaderboardRow;
  readonly length_model?: LengthModelFigures;
  readonly per_prompt: readonly AlpacaEvalPrompt[];
}
