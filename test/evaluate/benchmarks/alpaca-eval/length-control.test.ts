/** The length-controlled win rate of small tables: what it is made of, refitted, and instruction by instruction. */
import { describe, expect, test } from "vitest";
import { lengthContributions } from "#src/evaluate/benchmarks/alpaca-eval/length-influence.js";
import {
  fitLengthModel,
  type LengthModel,
  type LengthRow,
  lengthControlledWinRate,
  preferenceAtEqualLength,
} from "#src/evaluate/benchmarks/alpaca-eval/length-model.js";
import { createLengthRefit } from "#src/evaluate/benchmarks/alpaca-eval/length-refit.js";
import type { LengthTables } from "#src/evaluate/benchmarks/alpaca-eval/length-tables.js";
import { fitToOptimum } from "#src/evaluate/benchmarks/alpaca-eval/logistic-optimum.js";
import { probability } from "#src/evaluate/benchmarks/alpaca-eval/logistic-problem.js";
import { createRandom } from "#src/random.js";

const COUNT = 300;

/** A judge that likes long answers: of equally long ones it prefers the model's in about `level` of the cases. */
function drawn(level: number, lengthFactor = 1): { tables: LengthTables; rows: LengthRow[] } {
  const random = createRandom(`length-control/${level}`);
  const difficulty = Float64Array.from({ length: COUNT }, () => random.normal());
  const taste = (lengthDifference: number): number => -1.5 * Math.tanh(lengthDifference);
  const gamed = [1, -1].flatMap((sign) =>
    Array.from({ length: COUNT }, (_, index) => {
      const lengthDifference = sign * Math.abs(random.normal());
      return { index, lengthDifference, preference: probability(taste(lengthDifference) + 0.5 * random.normal()) };
    }),
  );
  const rows = Array.from({ length: COUNT }, (_, index) => {
    const baselineLength = 1000 + random.integer(1000);
    const length = Math.round(baselineLength * lengthFactor + 300 * random.normal());
    const logit = Math.log(level / (1 - level)) + 0.7 * difficulty[index]! + taste((baselineLength - length) / 400);
    return { index, length, baselineLength, preference: probability(logit + 0.5 * random.normal()) };
  });
  return { tables: { difficulty, gamed, gamedModels: 2 }, rows };
}

function fitted(level: number, lengthFactor?: number): LengthModel {
  const { tables, rows } = drawn(level, lengthFactor);
  return fitLengthModel(tables, rows);
}

function plain({ rows }: { rows: readonly LengthRow[] }): number {
  return (100 * rows.reduce((sum, { preference }) => sum + preference!, 0)) / rows.length;
}

/** Fitted from nothing, rows as often as drawn. */
function exactly(model: LengthModel, draw: Uint32Array): number {
  const weights = model.problem.weights.slice().fill(0, model.gamedRows);
  for (const instruction of draw) weights[model.gamedRows + instruction]!++;
  const theta = fitToOptimum({ ...model.problem, weights }, model.cost);
  let sum = 0;
  for (const instruction of draw) sum += preferenceAtEqualLength(theta, model.difficulty[instruction]!);
  return (100 * sum) / draw.length;
}

describe("length control", () => {
  test("takes away what long answers gain, and leaves answers of equal length alone", () => {
    const long = drawn(0.3, 1.4);
    expect(plain(long)).toBeGreaterThan(40);
    const model = fitted(0.3, 1.4);
    // What the judge prefers at equal length, on average over difficulties, to twice the standard error of 300.
    const truth = drawn(0.3).tables.difficulty.reduce((sum, d) => sum + probability(Math.log(3 / 7) + 0.7 * d), 0) / 3;
    expect(Math.abs(lengthControlledWinRate(model, model.theta) - truth)).toBeLessThan(4);
    const [equal, same] = [drawn(0.3), fitted(0.3)];
    // By chance some are longer, and that is still controlled for.
    expect(Math.abs(lengthControlledWinRate(same, same.theta) - plain(equal))).toBeLessThan(3);
  });

  test("answers as long as the baseline's, all of them, are scored without a length to control for", () => {
    const { tables, rows } = drawn(0.4);
    const model = fitLengthModel(
      tables,
      rows.map((row) => ({ ...row, length: row.baselineLength })),
    );
    expect([...model.problem.columns[0]!.subarray(model.gamedRows)].every((value) => value === 0)).toBe(true);
    expect(Number.isFinite(lengthControlledWinRate(model, model.theta))).toBe(true);
  });

  test("a row without a preference trains nothing, and its instruction is predicted like the others", () => {
    const { tables, rows } = drawn(0.4);
    const model = fitLengthModel(
      tables,
      rows.map((row, i) => (i < 5 ? { ...row, preference: null } : row)),
    );
    expect(model.trained.length).toBe(COUNT - 5);
    expect(model.problem.labels.length).toBe(model.gamedRows + COUNT - 5);
    expect(model.difficulty.length).toBe(COUNT);
    const all = Uint32Array.from({ length: COUNT }, (_, i) => i);
    expect(createLengthRefit(model)(all)).toBeCloseTo(lengthControlledWinRate(model, model.optimum), 8);
  });
});

describe("refits to resamples", () => {
  const model = fitted(0.25, 1.2);
  const refit = createLengthRefit(model);
  const random = createRandom("length-control/draws");

  test("everything once is the optimum", () => {
    const all = Uint32Array.from({ length: COUNT }, (_, i) => i);
    expect(refit(all)).toBeCloseTo(lengthControlledWinRate(model, model.optimum), 9);
  });

  test("are within 0.1 points of fits from nothing, which move by 1.5 points", () => {
    for (let r = 0; r < 30; r++) {
      const draw = Uint32Array.from({ length: COUNT }, () => random.integer(COUNT));
      expect(Math.abs(refit(draw) - exactly(model, draw))).toBeLessThan(0.1);
    }
  });
});

describe("contributions of instructions", () => {
  const model = fitted(0.25, 1.2);
  const contributions = lengthContributions(model);

  test("have the win rate as their mean", () => {
    const mean = contributions.reduce((sum, value) => sum + value, 0) / COUNT;
    expect(mean).toBeCloseTo(lengthControlledWinRate(model, model.theta), 10);
  });

  test("tell how the win rate moves when one instruction takes another's place", () => {
    const all = Uint32Array.from({ length: COUNT }, (_, i) => i);
    const whole = exactly(model, all);
    for (const [instead, gone] of [
      [3, 40],
      [77, 5],
      [120, 299],
    ] as const) {
      const draw = all.slice();
      draw[gone] = instead;
      const predicted = (contributions[instead]! - contributions[gone]!) / COUNT;
      expect(exactly(model, draw) - whole).toBeCloseTo(predicted, 2);
    }
  });
});
