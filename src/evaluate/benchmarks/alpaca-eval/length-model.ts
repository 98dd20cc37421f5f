/**
 * The length-controlled win rate (Dubois, Galambosi, Liang and Hashimoto, "Length-Controlled AlpacaEval", 2024): a
 * logistic model of the judge's preference on tanh of the length difference, the instruction's difficulty, and whether
 * it is the model that is judged; then the mean of what it predicts at no length difference. The baseline against
 * wordier and shorter versions of itself (`length-tables.ts`) is fitted along, at a weight of 0.2 an instruction.
 */

import type { LengthTables } from "./length-tables.ts";
import { fitToOptimum } from "./logistic-optimum.ts";
import { type LogisticProblem, logits, probability, rowsOf } from "./logistic-problem.ts";
import { fitLikeLiblinear } from "./new-glmnet.ts";

/** What the model reads of a judged pair. */
export interface LengthRow {
  /** Row of its instruction in the table of difficulties. */
  readonly index: number;
  /** Probability that the model's answer is preferred; null where the judge's answer could not be read. */
  readonly preference: number | null;
  /** Unicode code points of the model's answer and of the baseline's. */
  readonly length: number;
  readonly baselineLength: number;
}

/** Weight of the gamed baselines' rows, all versions of an instruction together. */
const GAMED_WEIGHT = 0.2;
const FOLDS = 5;
/** Inverse strengths of the penalty to choose from: 1e-4 to 1e4, evenly spaced by logarithm. */
const COSTS: readonly number[] = Array.from({ length: 10 }, (_, i) => 10 ** (-4 + (8 * i) / 9));
/** Probabilities in the cross-validation stay this far from 0 and 1. */
const CLIP = 1e-15;

/** Places of the features in coefficients. */
export const LENGTH = 0;
export const DIFFICULTY = 1;
export const MODEL = 2;

export interface LengthModel {
  /** Rows of the tables first, then those of the model that have a preference. */
  readonly problem: LogisticProblem;
  /** Rows of the tables in it. */
  readonly gamedRows: number;
  /** Instruction of each row after those. */
  readonly trained: Uint32Array;
  /** Of the model's instructions, all of them, `[instructions]`. */
  readonly difficulty: Float64Array;
  readonly cost: number;
  /** Where the benchmark's solver stops; what its figures are made from. */
  readonly theta: Float64Array;
  readonly optimum: Float64Array;
}

export function fitLengthModel(tables: LengthTables, rows: readonly LengthRow[]): LengthModel {
  const problem = designOf(tables, rows);
  const cost = chooseCost(problem);
  return {
    problem,
    gamedRows: tables.gamed.length,
    trained: Uint32Array.from(rows.keys()).filter((instruction) => rows[instruction]!.preference !== null),
    difficulty: Float64Array.from(rows, ({ index }) => tables.difficulty[index]!),
    cost,
    theta: fitLikeLiblinear(problem, cost),
    optimum: fitToOptimum(problem, cost),
  };
}

/** Probability of a preference at no length difference, for an instruction of this difficulty. */
export function preferenceAtEqualLength(theta: Float64Array, difficulty: number): number {
  return probability(theta[DIFFICULTY]! * difficulty + theta[MODEL]!);
}

/** Percent. */
export function lengthControlledWinRate({ difficulty }: LengthModel, theta: Float64Array): number {
  let sum = 0;
  for (const value of difficulty) sum += preferenceAtEqualLength(theta, value);
  return (100 * sum) / difficulty.length;
}

function designOf({ difficulty, gamed, gamedModels }: LengthTables, rows: readonly LengthRow[]): LogisticProblem {
  const differences = Float64Array.from(rows, ({ length, baselineLength }) => baselineLength - length);
  const deviation = sampleDeviation(differences);
  const columns: [number[], number[], number[]] = [[], [], []];
  const labels: number[] = [];
  const weights: number[] = [];
  const add = (lengthDifference: number, index: number, isModel: number, label: number, weight: number): void => {
    columns[LENGTH].push(Math.tanh(lengthDifference));
    columns[DIFFICULTY].push(difficulty[index]!);
    columns[MODEL].push(isModel);
    labels.push(label);
    weights.push(weight);
  };
  for (const { preference, index, lengthDifference } of gamed) {
    add(lengthDifference, index, 0, preference, GAMED_WEIGHT / gamedModels);
  }
  for (const [row, { index, preference }] of rows.entries()) {
    // Answers that are all as much longer as each other have no length to control for.
    const scaled = deviation > 0 ? differences[row]! / deviation : 0;
    if (preference !== null) add(scaled, index, 1, preference, 1);
  }
  return {
    columns: columns.map((column) => Float64Array.from(column)),
    labels: Float64Array.from(labels),
    weights: Float64Array.from(weights),
  };
}

function sampleDeviation(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}

/** The cost whose fits predict rows that they have not seen best; row r is left out of fit r modulo `FOLDS`. */
function chooseCost(problem: LogisticProblem): number {
  const all = Uint32Array.from(problem.labels.keys());
  const folds = Array.from({ length: FOLDS }, (_, fold) => ({
    seen: rowsOf(
      problem,
      all.filter((row) => row % FOLDS !== fold),
    ),
    unseen: rowsOf(
      problem,
      all.filter((row) => row % FOLDS === fold),
    ),
  }));
  let best = COSTS[0]!;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const cost of COSTS) {
    let score = 0;
    for (const { seen, unseen } of folds) score += logLikelihood(unseen, fitLikeLiblinear(seen, cost)) / FOLDS;
    if (score > bestScore) {
      best = cost;
      bestScore = score;
    }
  }
  return best;
}

/** Weighted, a row, nats. */
function logLikelihood(problem: LogisticProblem, theta: Float64Array): number {
  let sum = 0;
  for (const [row, logit] of logits(problem, theta).entries()) {
    const p = Math.min(Math.max(probability(logit), CLIP), 1 - CLIP);
    const label = problem.labels[row]!;
    sum += problem.weights[row]! * (label * Math.log(p) + (1 - label) * Math.log(1 - p));
  }
  return sum / problem.labels.length;
}
