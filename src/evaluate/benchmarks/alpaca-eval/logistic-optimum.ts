/**
 * The same logistic regression, solved to its optimum: proximal Newton steps (Lee, Sun and Saunders, SIAM J. Optim.
 * 2014), each quadratic problem solved to rounding by coordinate descent, with the step halved until the objective
 * falls. A few coefficients only, so a step costs a pass over the rows.
 */
import { coordinateMove, curvatureAt, type LogisticProblem, logits, probability } from "./logistic-problem.ts";

/** Newton steps: 6 to 10 are taken from 0; more means that rounding is all that moves. */
const STEPS = 100;
const DESCENT_PASSES = 10_000;
const SMALLEST_SHARE = 2 ** -40;

/** Coefficients `[features]`, to `tolerance` in each. */
export function fitToOptimum(problem: LogisticProblem, cost: number, tolerance = 1e-10): Float64Array {
  let theta = new Float64Array(problem.columns.length);
  let reached = objective(problem, cost, theta);
  for (let step = 0; step < STEPS; step++) {
    const { gradient, hessian } = curvatureAt(problem, logits(problem, theta).map(probability));
    const target = minimiseQuadratic(theta, gradient, hessian, cost);
    if (target.every((to, j) => Math.abs(to - theta[j]!) < tolerance)) return target;
    for (let share = 1; ; share /= 2) {
      if (share < SMALLEST_SHARE) return theta;
      const moved = theta.map((from, j) => from + share * (target[j]! - from));
      const value = objective(problem, cost, moved);
      if (value > reached + 1e-15 * Math.abs(reached)) continue;
      theta = moved;
      reached = value;
      break;
    }
  }
  return theta;
}

/** What is minimised (`logistic-problem.ts`). */
export function objective(problem: LogisticProblem, cost: number, theta: Float64Array): number {
  let loss = 0;
  for (const [row, logit] of logits(problem, theta).entries()) {
    const softplus = Math.max(logit, 0) + Math.log1p(Math.exp(-Math.abs(logit)));
    loss += problem.weights[row]! * (softplus - problem.labels[row]! * logit);
  }
  return theta.reduce((sum, coefficient) => sum + Math.abs(coefficient), 0) + cost * loss;
}

/** The minimum of |target|_1 + cost * (gradient . d + d' hessian d / 2), d = target - theta. */
export function minimiseQuadratic(
  theta: Float64Array,
  gradient: Float64Array,
  hessian: Float64Array,
  cost: number,
): Float64Array<ArrayBuffer> {
  const features = theta.length;
  const target = Float64Array.from(theta);
  for (let pass = 0; pass < DESCENT_PASSES; pass++) {
    let longest = 0;
    for (let j = 0; j < features; j++) {
      const bend = cost * hessian[j * features + j]!;
      // A coefficient whose feature is 0 everywhere is nowhere but at 0.
      if (bend === 0) {
        target[j] = 0;
        continue;
      }
      let slope = gradient[j]!;
      for (let k = 0; k < features; k++) slope += hessian[j * features + k]! * (target[k]! - theta[k]!);
      const move = coordinateMove(target[j]!, cost * slope, bend);
      target[j]! += move;
      longest = Math.max(longest, Math.abs(move));
    }
    if (longest < 1e-14) break;
  }
  return target;
}
