/**
 * The length-controlled win rate of resampled instructions: the logistic model fitted again to each resample, from the
 * optimum of the whole data to the resample's own. The benchmark's tables, the cost of the penalty and the standard
 * deviation of lengths stay as they are; the tables' rows, a fifth of the weight, enter by their second-order expansion.
 * The first Newton step needs sums alone, because at the optimum every row's slope and bend are known; after a second
 * one little moves (bench/alpaca-eval.mjs measures what is left, and what a fit from nothing takes).
 */
import { DIFFICULTY, LENGTH, type LengthModel, MODEL } from "./length-model.ts";
import { minimiseQuadratic } from "./logistic-optimum.ts";
import { type Curvature, curvatureAt, logits, probability, rowsOf } from "./logistic-problem.ts";

/** A Newton step shorter than this is the last: what it leaves is about its square. */
const LAST_STEP = 0.03;
const STEPS = 20;

/** What one row adds to the gradient (3) and to the lower triangle of the Hessian (6). */
const TERMS = 9;

/** From a resample, indices of instructions, to its length-controlled win rate in percent. */
export function createLengthRefit(model: LengthModel): (draw: Uint32Array) => number {
  const { difficulty, cost, optimum, trained } = model;
  const resampled = rowsFrom(model);
  const fixed = curvatureOfTables(model);
  const atOptimum = new Float64Array(trained.length * TERMS);
  for (let row = 0; row < trained.length; row++) addTerms(resampled, row, 1, optimum, atOptimum, row * TERMS);
  const counts = new Float64Array(difficulty.length);
  const sums = new Float64Array(TERMS);
  return (draw) => {
    counts.fill(0);
    for (const instruction of draw) counts[instruction]!++;
    let theta = optimum;
    for (let step = 0; step < STEPS; step++) {
      sums.fill(0);
      for (let row = 0; row < trained.length; row++) {
        const count = counts[trained[row]!]!;
        if (count === 0) continue;
        if (step > 0) addTerms(resampled, row, count, theta, sums, 0);
        else for (let term = 0; term < TERMS; term++) sums[term]! += count * atOptimum[row * TERMS + term]!;
      }
      const target = newtonTarget(theta, sums, fixed, optimum, cost);
      const length = Math.max(...target.map((to, j) => Math.abs(to - theta[j]!)));
      theta = target;
      if (length < LAST_STEP) break;
    }
    let sum = 0;
    for (let instruction = 0; instruction < counts.length; instruction++) {
      const count = counts[instruction]!;
      if (count > 0) sum += count * probability(theta[DIFFICULTY]! * difficulty[instruction]! + theta[MODEL]!);
    }
    return (100 * sum) / draw.length;
  };
}

interface ResampledRows {
  readonly lengths: Float64Array;
  readonly difficulties: Float64Array;
  readonly labels: Float64Array;
}

/** The model's rows; their third feature and their weight are 1. */
function rowsFrom({ problem, gamedRows }: LengthModel): ResampledRows {
  return {
    lengths: problem.columns[LENGTH]!.subarray(gamedRows),
    difficulties: problem.columns[DIFFICULTY]!.subarray(gamedRows),
    labels: problem.labels.subarray(gamedRows),
  };
}

/** Adds `count` times what a row has at `theta` to the nine numbers from `at` on. */
function addTerms(
  { lengths, difficulties, labels }: ResampledRows,
  row: number,
  count: number,
  theta: Float64Array,
  sums: Float64Array,
  at: number,
): void {
  const length = lengths[row]!;
  const difficulty = difficulties[row]!;
  const p = probability(theta[LENGTH]! * length + theta[DIFFICULTY]! * difficulty + theta[MODEL]!);
  const slope = count * (p - labels[row]!);
  const bend = count * p * (1 - p);
  sums[at]! += slope * length;
  sums[at + 1]! += slope * difficulty;
  sums[at + 2]! += slope;
  sums[at + 3]! += bend * length * length;
  sums[at + 4]! += bend * length * difficulty;
  sums[at + 5]! += bend * difficulty * difficulty;
  sums[at + 6]! += bend * length;
  sums[at + 7]! += bend * difficulty;
  sums[at + 8]! += bend;
}

/** Where the second-order model of everything has its minimum. */
function newtonTarget(
  theta: Float64Array,
  sums: Float64Array,
  fixed: Curvature,
  optimum: Float64Array,
  cost: number,
): Float64Array {
  const gradient = fixed.gradient.map((slope, j) => slope + sums[j]!);
  const hessian = fixed.hessian.map((bend, cell) => {
    const [j, k] = [Math.floor(cell / 3), cell % 3];
    gradient[j]! += bend * (theta[k]! - optimum[k]!);
    return bend + sums[3 + (j >= k ? (j * (j + 1)) / 2 + k : (k * (k + 1)) / 2 + j)]!;
  });
  return minimiseQuadratic(theta, gradient, hessian, cost);
}

/** Of the tables' rows, at the optimum of all. */
function curvatureOfTables({ problem, gamedRows, optimum }: LengthModel): Curvature {
  const tables = rowsOf(
    problem,
    Uint32Array.from({ length: gamedRows }, (_, row) => row),
  );
  return curvatureAt(tables, logits(tables, optimum).map(probability));
}
