/**
 * What each instruction contributes to the length-controlled win rate, so that two models can be compared instruction
 * by instruction: the win rate plus the instruction's influence on it (Hampel, "The influence curve and its role in
 * robust estimation", JASA 1974), through its own prediction and through the fit of all. Their mean is the win rate, and
 * to first order the mean of a resample is the win rate refitted to it.
 */
import {
  DIFFICULTY,
  type LengthModel,
  lengthControlledWinRate,
  MODEL,
  preferenceAtEqualLength,
} from "./length-model.ts";
import { curvatureAt, logits, probability } from "./logistic-problem.ts";

/** Percent, `[instructions]`. */
export function lengthContributions(model: LengthModel): Float64Array {
  const { problem, gamedRows, trained, difficulty, optimum } = model;
  const instructions = difficulty.length;
  const predictions = difficulty.map((value) => preferenceAtEqualLength(optimum, value));
  const probabilities = logits(problem, optimum).map(probability);
  const { hessian } = curvatureAt(problem, probabilities);
  // How the sum of predictions moves with the coefficients, and with a row's weight through them.
  const slope = new Float64Array(optimum.length);
  for (const [instruction, p] of predictions.entries()) {
    slope[DIFFICULTY]! += p * (1 - p) * difficulty[instruction]!;
    slope[MODEL]! += p * (1 - p);
  }
  const adjoint = solveWhereNonzero(hessian, slope, optimum);
  const influences = Float64Array.from(predictions);
  for (const [row, instruction] of trained.entries()) {
    const at = gamedRows + row;
    const residual = problem.labels[at]! - probabilities[at]!;
    for (const [feature, column] of problem.columns.entries()) {
      influences[instruction]! += adjoint[feature]! * residual * column[at]!;
    }
  }
  const mean = influences.reduce((sum, influence) => sum + influence, 0) / instructions;
  const value = lengthControlledWinRate(model, model.theta);
  return influences.map((influence) => value + 100 * (influence - mean));
}

/** x with `matrix x = right` among the coefficients that are not 0 (the penalty holds the others), by Gauss-Seidel. */
function solveWhereNonzero(matrix: Float64Array, right: Float64Array, coefficients: Float64Array): Float64Array {
  const features = right.length;
  const x = new Float64Array(features);
  for (let pass = 0; pass < 10_000; pass++) {
    let longest = 0;
    for (let j = 0; j < features; j++) {
      if (coefficients[j] === 0) continue;
      let rest = right[j]!;
      for (let k = 0; k < features; k++) rest -= matrix[j * features + k]! * x[k]!;
      const move = rest / matrix[j * features + j]!;
      x[j]! += move;
      longest = Math.max(longest, Math.abs(move));
    }
    if (longest < 1e-12) break;
  }
  return x;
}
