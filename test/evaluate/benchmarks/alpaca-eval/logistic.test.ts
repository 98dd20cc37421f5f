/** Both solvers of the L1 logistic regression: where liblinear stops, and the optimum. */
import { describe, expect, test } from "vitest";
import { fitToOptimum, minimiseQuadratic, objective } from "#src/evaluate/benchmarks/alpaca-eval/logistic-optimum.js";
import {
  curvatureAt,
  type LogisticProblem,
  logits,
  probability,
} from "#src/evaluate/benchmarks/alpaca-eval/logistic-problem.js";
import { mersenneIntegers } from "#src/evaluate/benchmarks/alpaca-eval/mersenne-twister.js";
import { fitLikeLiblinear } from "#src/evaluate/benchmarks/alpaca-eval/new-glmnet.js";

/** 24 rows of three features; two labels are certain, and a third of the rows has a tenth of the weight. */
function problem(): LogisticProblem {
  const rows = Array.from({ length: 24 }, (_, i) => [
    Math.tanh(1.5 * Math.sin(1.7 * i)),
    Math.cos(2.3 * i),
    i % 3 === 0 ? 0 : 1,
  ]);
  const labels = rows.map(([a, b, c], i) => probability(0.8 * a! - 0.5 * b! - 0.7 * c! + Math.sin(5 * i)));
  labels[4] = 0;
  labels[7] = 1;
  return {
    columns: [0, 1, 2].map((feature) => Float64Array.from(rows, (row) => row[feature]!)),
    labels: Float64Array.from(labels),
    weights: Float64Array.from(rows, (_, i) => (i % 3 === 0 ? 0.1 : 1)),
  };
}

/** What scikit-learn 1.5.2 gives: cost, at liblinear's usual tolerance, and at a tolerance of 1e-13. */
const SCIKIT_LEARN: readonly [number, readonly number[], readonly number[]][] = [
  [0.3, [0, 0, 0], [0, 0, 0]],
  [1, [0, 0, -0.29021529474815344], [0, 0, -0.29021558734597974]],
  [
    21.544346900318846,
    [0.24992873942933555, -0.3976285760556506, -0.5533787445651523],
    [0.24996148246975988, -0.39762759697162336, -0.5533885767400252],
  ],
  [
    1e4,
    [0.2776621250755694, -0.42012583116721774, -0.5700342386441831],
    [0.277708542175088, -0.42012468928488644, -0.5700468805919845],
  ],
];

function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
}

describe("newGLMNET", () => {
  test.each(SCIKIT_LEARN)("stops where liblinear stops, at cost %s", (cost, usual) => {
    expect(difference(fitLikeLiblinear(problem(), cost), usual)).toBeLessThan(1e-12);
  });

  test("a column of zeros keeps its coefficient at 0", () => {
    const { columns, ...rest } = problem();
    const theta = fitLikeLiblinear({ ...rest, columns: [columns[0]!, new Float64Array(24), columns[2]!] }, 100);
    expect(theta[1]).toBe(0);
    expect(theta.every(Number.isFinite)).toBe(true);
  });

  test("labels all of one kind push a coefficient until the penalty stops it", () => {
    const columns = [new Float64Array(8).fill(1)];
    const certain = { columns, labels: new Float64Array(8).fill(1), weights: new Float64Array(8).fill(1) };
    // |theta| + 8 C log(1 + exp(-theta)) is least where 1 = 8 C (1 - probability).
    expect(probability(fitLikeLiblinear(certain, 100)[0]!)).toBeCloseTo(1 - 1 / 800, 3);
  });
});

describe("the optimum", () => {
  test.each(SCIKIT_LEARN)("is what liblinear comes to without a tolerance, at cost %s", (cost, _, tight) => {
    expect(difference(fitToOptimum(problem(), cost), tight)).toBeLessThan(1e-9);
  });

  test("every slope is balanced by the penalty: the conditions of an optimum hold to 1e-8", () => {
    const cost = 21.5;
    const theta = fitToOptimum(problem(), cost);
    const { gradient } = curvatureAt(problem(), logits(problem(), theta).map(probability));
    for (const [j, slope] of gradient.entries()) expect(cost * slope + Math.sign(theta[j]!)).toBeCloseTo(0, 8);
  });

  test("has a lower objective than the place where liblinear stops", () => {
    for (const cost of [1, 21.5, 1e4]) {
      const gap =
        objective(problem(), cost, fitLikeLiblinear(problem(), cost)) -
        objective(problem(), cost, fitToOptimum(problem(), cost));
      expect(gap).toBeGreaterThan(0);
      expect(gap).toBeLessThan(1e-4 * cost);
    }
  });

  test("of one feature that is always 1, the logit of the mean label moved by the penalty", () => {
    const labels = Float64Array.of(0.2, 0.9, 0.7, 0.8);
    const one = { columns: [new Float64Array(4).fill(1)], labels, weights: new Float64Array(4).fill(1) };
    // Slope: 4 C (probability - 0.65) + 1 = 0.
    expect(probability(fitToOptimum(one, 10)[0]!)).toBeCloseTo(0.65 - 1 / 40, 12);
  });

  test("a quadratic with a penalty is minimised coordinate by coordinate", () => {
    const target = minimiseQuadratic(new Float64Array(2), Float64Array.of(-3, 0.5), Float64Array.of(2, 0, 0, 1), 1);
    expect([...target]).toEqual([1, 0]);
  });
});

test("the generator gives the published first words of MT19937", () => {
  // std::mt19937 of seed 5489 starts 3499211612, 581869302, 3890346734; of these, in [0, 1000): word * 1000 / 2^32.
  const integer = mersenneIntegers(5489);
  expect([integer(1000), integer(1000), integer(1000)]).toEqual(
    [3499211612, 581869302, 3890346734].map((word) => Math.floor((word * 1000) / 2 ** 32)),
  );
});
