/**
 * The result document of MT-Bench: mean scores over judgments as FastChat averages them (show_result.py: a judgment
 * without a rating is dropped, the average is over the judgments of both turns), with intervals over questions, whose
 * two turns stay together; and the scores question by question, so that two documents compare as files.
 */

import { bootstrapRatio } from "../../../statistics/bootstrap.ts";
import type { Term } from "../../../statistics/interval.ts";
import { emptyTable } from "../../../table.ts";
import type { Reasoning } from "../../reasoning.ts";
import type { BenchmarkResult, Metric } from "../benchmark.ts";
import type { ModelAnswers } from "./answers.ts";
import type { Judgment } from "./judgments.ts";
import { type GradedQuestion, TURNS, type Turn } from "./questions.ts";

export const UNIT = "points of 10";
/** One for all figures: those over the same questions resample the same ones. */
export const SEED = "mt-bench";

export interface QuestionScores {
  readonly id: number;
  readonly category: string;
  /** null where the judgment has no rating; of several judgments of the turn the mean of those that have one. */
  readonly turn_1: number | null;
  readonly turn_2: number | null;
  /** All ratings, where a turn was judged several times: each counts in the means. */
  readonly ratings?: { readonly turn_1: readonly number[]; readonly turn_2: readonly number[] };
  /** Unicode code points of the two answers; absent where only judgments were read. */
  readonly answer_characters?: readonly [number, number];
}

/** A judgment without a rating, with what the judge said instead. */
export interface UnratedJudgment {
  readonly id: number;
  readonly turn: Turn;
  readonly judgment: string;
}

export interface MtBenchResult extends BenchmarkResult {
  readonly benchmark: "mt-bench";
  /** The judge's model. */
  readonly judge: string;
  readonly questions: number;
  /** Two a question, or more where turns were judged again, those without a rating among them. */
  readonly judgments: number;
  /** Those of turns that were judged before; absent where there are none. */
  readonly repeated_judgments?: number;
  /** They count in no figure. */
  readonly unrated: readonly UnratedJudgment[];
  /** Whether the judge was shown the model's reasoning; absent where only judgments were read. */
  readonly reasoning?: Reasoning;
  /** Of the model's answers, two a question; absent where only judgments were read. */
  readonly empty_answers?: number;
  /** Answers that ran into the limit of tokens, and questions that the model's template refuses; where it was asked. */
  readonly cut_answers?: number;
  readonly refused?: number;
  readonly per_prompt: readonly QuestionScores[];
}

/** A mean over judgments: of which turns and which questions. */
export interface Measure {
  readonly name: string;
  /** What a question adds: the sum of its scores and how many; null where it has none. */
  term(scores: QuestionScores): Term | null;
}

/** `turn_1`, `turn_2`, `average`, then `category/<name>` over both turns, in order of appearance. */
export function mtBenchMeasures(read: readonly QuestionScores[]): Measure[] {
  const categories = [...new Set(read.map(({ category }) => category))];
  const both = (scores: QuestionScores): Term | null => sumOf([...ratingsOf(scores, 1), ...ratingsOf(scores, 2)]);
  return [
    { name: "turn_1", term: (scores) => sumOf(ratingsOf(scores, 1)) },
    { name: "turn_2", term: (scores) => sumOf(ratingsOf(scores, 2)) },
    { name: "average", term: both },
    ...categories.map((category) => ({
      name: `category/${category}`,
      term: (scores: QuestionScores) => (scores.category === category ? both(scores) : null),
    })),
  ];
}

function ratingsOf(scores: QuestionScores, turn: Turn): readonly number[] {
  const score = scores[`turn_${turn}`];
  if (score === null) return [];
  return scores.ratings?.[`turn_${turn}`] ?? [score];
}

function sumOf(rated: readonly number[]): Term | null {
  if (rated.length === 0) return null;
  return { numerator: rated.reduce((sum, score) => sum + score, 0), denominator: rated.length };
}

/** `judgments` are both turns of every question, each at least once. A figure without a single rating is left out. */
export function mtBenchResult(
  questions: readonly GradedQuestion[],
  judgments: readonly Judgment[],
  answered: ModelAnswers | null,
): MtBenchResult {
  const { model, judge } = judgments[0]!;
  const ratings = new Map<string, number[]>();
  for (const { question, turn, score } of judgments) {
    const key = `${question}/${turn}`;
    const before = ratings.get(key) ?? [];
    ratings.set(key, score === null ? before : [...before, score]);
  }
  const repeated = judgments.length - ratings.size;
  const per_prompt = questions.map(({ id, category }): QuestionScores => {
    const [first, second] = TURNS.map((turn) => ratings.get(`${id}/${turn}`) ?? []) as [number[], number[]];
    const [turn_1, turn_2] = [meanOf(first), meanOf(second)];
    const isRepeated = first.length > 1 || second.length > 1;
    const all = isRepeated ? { ratings: { turn_1: first, turn_2: second } } : {};
    const turns = answered?.answers.get(id);
    if (turns === undefined) return { id, category, turn_1, turn_2, ...all };
    return { id, category, turn_1, turn_2, ...all, answer_characters: [characters(turns[0]), characters(turns[1])] };
  });
  const metrics: Record<string, Metric> = emptyTable();
  for (const { name, term } of mtBenchMeasures(per_prompt)) {
    const terms = per_prompt.map(term).filter((found) => found !== null);
    if (terms.length === 0) continue;
    metrics[name] = { ...bootstrapRatio(terms, SEED), unit: UNIT, prompts: terms.length };
  }
  return {
    benchmark: "mt-bench",
    model,
    metrics,
    judge,
    questions: questions.length,
    judgments: judgments.length,
    ...(repeated > 0 && { repeated_judgments: repeated }),
    unrated: judgments
      .filter(({ score }) => score === null)
      .map(({ question: id, turn, text: judgment }) => ({ id, turn, judgment })),
    ...(answered === null ? {} : { empty_answers: emptyAnswers(answered) }),
    ...(answered?.cut === undefined ? {} : { cut_answers: answered.cut }),
    ...(answered?.refused === undefined ? {} : { refused: answered.refused }),
    per_prompt,
  };
}

function meanOf(ratings: readonly number[]): number | null {
  return ratings.length === 0 ? null : ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length;
}

/** Answers of nothing but white space. */
export function emptyAnswers({ answers }: ModelAnswers): number {
  let empty = 0;
  for (const turns of answers.values()) empty += turns.filter((text) => text.trim() === "").length;
  return empty;
}

function characters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
