/**
 * Logistic regression with an L1 penalty and no intercept, on rows whose label is a probability: a row with label p and
 * weight w is one row of label 1 with weight w p and one of label 0 with weight w (1 - p). Minimised is
 *
 *   |theta|_1 + cost * sum over rows of w * (log(1 + exp(theta . x)) - p * theta . x)
 */
export interface LogisticProblem {
  /** `[features][rows]`. */
  readonly columns: readonly Float64Array[];
  /** `[rows]`, 0 to 1. */
  readonly labels: Float64Array;
  /** `[rows]`, not negative. */
  readonly weights: Float64Array;
}

/** Second-order model of the sum over rows at one theta, without cost and penalty. */
export interface Curvature {
  /** `[features]`. */
  readonly gradient: Float64Array;
  /** `[features, features]`, symmetric. */
  readonly hessian: Float64Array;
}

export function probability(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** `theta . x` of each row. */
export function logits({ columns }: LogisticProblem, theta: Float64Array): Float64Array {
  const sums = new Float64Array(columns[0]?.length ?? 0);
  for (const [feature, column] of columns.entries()) {
    const coefficient = theta[feature]!;
    for (let row = 0; row < sums.length; row++) sums[row]! += coefficient * column[row]!;
  }
  return sums;
}

/** Gradient and Hessian at the theta that has these `probabilities`. */
export function curvatureAt({ columns, labels, weights }: LogisticProblem, probabilities: Float64Array): Curvature {
  const features = columns.length;
  const gradient = new Float64Array(features);
  const hessian = new Float64Array(features * features);
  const slopes = new Float64Array(labels.length);
  const bends = new Float64Array(labels.length);
  for (let row = 0; row < labels.length; row++) {
    const p = probabilities[row]!;
    slopes[row] = weights[row]! * (p - labels[row]!);
    bends[row] = weights[row]! * p * (1 - p);
  }
  for (const [i, column] of columns.entries()) {
    let slope = 0;
    for (let row = 0; row < slopes.length; row++) slope += slopes[row]! * column[row]!;
    gradient[i] = slope;
    for (const [j, other] of columns.entries()) {
      if (j > i) break;
      let bend = 0;
      for (let row = 0; row < bends.length; row++) bend += bends[row]! * column[row]! * other[row]!;
      hessian[i * features + j] = bend;
      hessian[j * features + i] = bend;
    }
  }
  return { gradient, hessian };
}

/** To the minimum of |at + move| + slope * move + bend * move^2 / 2. */
export function coordinateMove(at: number, slope: number, bend: number): number {
  if (slope + 1 < bend * at) return -(slope + 1) / bend;
  if (slope - 1 > bend * at) return -(slope - 1) / bend;
  return -at;
}

/** These rows of a problem. */
export function rowsOf({ columns, labels, weights }: LogisticProblem, rows: Uint32Array): LogisticProblem {
  const taken = (values: Float64Array): Float64Array => Float64Array.from(rows, (row) => values[row]!);
  return { columns: columns.map(taken), labels: taken(labels), weights: taken(weights) };
}
