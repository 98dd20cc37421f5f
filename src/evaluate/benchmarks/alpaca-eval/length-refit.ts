/**
 * The length-controlled win rate of resampled instructions: the logistic model fitted again to each resample, from the
 * optimum of the whole data to the resample's own. The benchmark's tables, the cost of the penalty and the standard
 * deviation of lengths stay as they are; the tables' rows, a sixth of the weight, enter by their second-order expansion.
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
  const rows = rowsFrom(model);
  const fixed = curvatureOfTables(model);
  const atOptimum = new Float64Array(trained.length * TERMS);
  for (let row = 0; row < trained.length; row++) {
    sumTerms(rows, Uint32Array.of(row), Float64Array.of(1), 1, optimum, atOptimum.subarray(row * TERMS));
  }
  const counts = new Float64Array(difficulty.length);
  const drawnRows = new Uint32Array(trained.length);
  const drawnCounts = new Float64Array(trained.length);
  const sums = new Float64Array(TERMS);
  const whole: Curvature = { gradient: new Float64Array(3), hessian: new Float64Array(9) };
  return (draw) => {
    counts.fill(0);
    for (const instruction of draw) counts[instruction]!++;
    let distinct = 0;
    for (let row = 0; row < trained.length; row++) {
      const count = counts[trained[row]!]!;
      drawnRows[distinct] = row;
      drawnCounts[distinct] = count;
      // Without a branch, which chance would mispredict.
      distinct += Math.min(count, 1);
    }
    let theta = optimum;
    for (let step = 0; step < STEPS; step++) {
      if (step === 0) sumKnownTerms(atOptimum, drawnRows, drawnCounts, distinct, sums);
      else sumTerms(rows, drawnRows, drawnCounts, distinct, theta, sums);
      addTables(theta, sums, fixed, optimum, whole);
      const target = minimiseQuadratic(theta, whole.gradient, whole.hessian, cost);
      let longest = 0;
      for (let j = 0; j < target.length; j++) longest = Math.max(longest, Math.abs(target[j]! - theta[j]!));
      theta = target;
      if (longest < LAST_STEP) break;
    }
    return meanPrediction(difficulty, counts, theta, draw.length);
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

/** Sums what the first `distinct` of these rows have at `theta`, each so often: nine numbers. */
function sumTerms(
  { lengths, difficulties, labels }: ResampledRows,
  rows: Uint32Array,
  counts: Float64Array,
  distinct: number,
  theta: Float64Array,
  sums: Float64Array,
): void {
  const [a, b, c] = [theta[LENGTH]!, theta[DIFFICULTY]!, theta[MODEL]!];
  let [g0, g1, g2, h00, h10, h11, h20, h21, h22] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  for (let at = 0; at < distinct; at++) {
    const row = rows[at]!;
    const length = lengths[row]!;
    const difficulty = difficulties[row]!;
    const p = probability(a * length + b * difficulty + c);
    const slope = counts[at]! * (p - labels[row]!);
    const bend = counts[at]! * p * (1 - p);
    g0 += slope * length;
    g1 += slope * difficulty;
    g2 += slope;
    h00 += bend * length * length;
    h10 += bend * length * difficulty;
    h11 += bend * difficulty * difficulty;
    h20 += bend * length;
    h21 += bend * difficulty;
    h22 += bend;
  }
  sums.set([g0, g1, g2, h00, h10, h11, h20, h21, h22]);
}

/** The same where each row's nine terms are known. */
function sumKnownTerms(
  terms: Float64Array,
  rows: Uint32Array,
  counts: Float64Array,
  distinct: number,
  sums: Float64Array,
): void {
  let [g0, g1, g2, h00, h10, h11, h20, h21, h22] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  for (let at = 0; at < distinct; at++) {
    const count = counts[at]!;
    const first = rows[at]! * TERMS;
    g0 += count * terms[first]!;
    g1 += count * terms[first + 1]!;
    g2 += count * terms[first + 2]!;
    h00 += count * terms[first + 3]!;
    h10 += count * terms[first + 4]!;
    h11 += count * terms[first + 5]!;
    h20 += count * terms[first + 6]!;
    h21 += count * terms[first + 7]!;
    h22 += count * terms[first + 8]!;
  }
  sums.set([g0, g1, g2, h00, h10, h11, h20, h21, h22]);
}

/** Percent, of instructions that come so often. */
function meanPrediction(difficulty: Float64Array, counts: Float64Array, theta: Float64Array, total: number): number {
  let sum = 0;
  for (let instruction = 0; instruction < counts.length; instruction++) {
    const count = counts[instruction]!;
    if (count > 0) sum += count * probability(theta[DIFFICULTY]! * difficulty[instruction]! + theta[MODEL]!);
  }
  return (100 * sum) / total;
}

/** The whole second-order model at `theta`: nine sums of the resample's rows, and the tables' expansion there. */
function addTables(
  theta: Float64Array,
  sums: Float64Array,
  fixed: Curvature,
  optimum: Float64Array,
  { gradient, hessian }: Curvature,
): void {
  for (let j = 0, term = 3; j < 3; j++) {
    gradient[j] = sums[j]! + fixed.gradient[j]!;
    for (let k = 0; k < 3; k++) gradient[j]! += fixed.hessian[3 * j + k]! * (theta[k]! - optimum[k]!);
    for (let k = 0; k <= j; k++, term++) {
      hessian[3 * j + k] = sums[term]! + fixed.hessian[3 * j + k]!;
      hessian[3 * k + j] = hessian[3 * j + k]!;
    }
  }
}

/** Of the tables' rows, at the optimum of all. */
function curvatureOfTables({ problem, gamedRows, optimum }: LengthModel): Curvature {
  const tables = rowsOf(
    problem,
    Uint32Array.from({ length: gamedRows }, (_, row) => row),
  );
  return curvatureAt(tables, logits(tables, optimum).map(probability));
}
