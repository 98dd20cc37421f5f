/**
 * The result document of MT-Bench: mean scores over judgments as FastChat averages them (show_result.py: a judgment
 * without a rating is dropped, the average is over the judgments of both turns), with intervals over questions, whose
 * two turns stay together; and the scores question by question, so that two documents compare as files.
 */
import { bootstrapRatio } from "../../../statistics/bootstrap.ts";
import type { Term } from "../../../statistics/interval.ts";
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
  /** null where the judgment has no rating. */
  readonly turn_1: number | null;
  readonly turn_2: number | null;
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
  /** Two a question, those without a rating among them. */
  readonly judgments: number;
  /** They count in no figure. */
  readonly unrated: readonly UnratedJudgment[];
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
  const both = (scores: QuestionScores): Term | null => sumOf([scores.turn_1, scores.turn_2]);
  return [
    { name: "turn_1", term: ({ turn_1 }) => sumOf([turn_1]) },
    { name: "turn_2", term: ({ turn_2 }) => sumOf([turn_2]) },
    { name: "average", term: both },
    ...categories.map((category) => ({
      name: `category/${category}`,
      term: (scores: QuestionScores) => (scores.category === category ? both(scores) : null),
    })),
  ];
}

function sumOf(scores: readonly (number | null)[]): Term | null {
  const rated = scores.filter((score) => score !== null);
  if (rated.length === 0) return null;
  return { numerator: rated.reduce((sum, score) => sum + score, 0), denominator: rated.length };
}

/** `judgments` are both turns of every question. A figure without a single rating is left out. */
export function mtBenchResult(
  questions: readonly GradedQuestion[],
  judgments: readonly Judgment[],
  answered: ModelAnswers | null,
): MtBenchResult {
  const { model, judge } = judgments[0]!;
  const scores = new Map(judgments.map(({ question, turn, score }) => [`${question}/${turn}`, score]));
  const per_prompt = questions.map(({ id, category }): QuestionScores => {
    const [turn_1, turn_2] = TURNS.map((turn) => scores.get(`${id}/${turn}`) ?? null) as [number | null, number | null];
    const turns = answered?.answers.get(id);
    if (turns === undefined) return { id, category, turn_1, turn_2 };
    return { id, category, turn_1, turn_2, answer_characters: [characters(turns[0]), characters(turns[1])] };
  });
  const metrics: Record<string, Metric> = {};
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
    unrated: judgments
      .filter(({ score }) => score === null)
      .map(({ question: id, turn, text: judgment }) => ({ id, turn, judgment })),
    ...(answered === null ? {} : { empty_answers: emptyAnswers(answered) }),
    ...(answered?.cut === undefined ? {} : { cut_answers: answered.cut }),
    ...(answered?.refused === undefined ? {} : { refused: answered.refused }),
    per_prompt,
  };
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
