import { expect, test } from "vitest";
import { ADAMW } from "#src/engine/engine.js";
import { adamwStep, clipScale, gradientNorm, type Parameter } from "#src/engine/onnx/adamw.js";

const parameter = (weight: number[], gradient: number[], decays = true): Parameter => ({
  weight: Float32Array.from(weight),
  mean: new Float32Array(weight.length),
  square: new Float32Array(weight.length),
  gradient: Float32Array.from(gradient),
  decays,
});

test("the first step moves every weight by the learning rate against its gradient", () => {
  const p = parameter([1, 1, 1], [0.5, -2, 0]);
  adamwStep([p], 1, 0.01, 1, ADAMW);
  // The bias corrections cancel the moments: g / (|g| + 1e-8).
  expect(p.weight[0]).toBeCloseTo(0.99, 7);
  expect(p.weight[1]).toBeCloseTo(1.01, 7);
  expect(p.weight[2]).toBe(1);
  expect(p.mean[1]).toBeCloseTo(-0.2, 7);
  expect(p.square[1]).toBeCloseTo(0.004, 8);
});

test("three steps follow the recurrence written out in doubles", () => {
  const options = { ...ADAMW, weightDecay: 0.1 };
  const p = parameter([0.3], [0]);
  let [w, m, v] = [Math.fround(0.3), 0, 0];
  for (const [index, g] of [0.25, -0.5, 1.5].entries()) {
    const step = index + 1;
    p.gradient[0] = g;
    adamwStep([p], step, 0.02, 0.5, options);
    m = 0.9 * m + 0.1 * (g / 2);
    v = 0.999 * v + 0.001 * (g / 2) ** 2;
    const bias1 = 1 - 0.9 ** step;
    const bias2 = 1 - 0.999 ** step;
    w = w * (1 - 0.02 * 0.1) - (0.02 * (m / bias1)) / (Math.sqrt(v / bias2) + 1e-8);
    expect(p.weight[0]).toBeCloseTo(w, 6);
  }
});

test("weight decay leaves vectors alone", () => {
  const options = { ...ADAMW, weightDecay: 0.5 };
  const matrix = parameter([2], [0]);
  const vector = parameter([2], [0], false);
  adamwStep([matrix, vector], 1, 0.1, 1, options);
  expect(matrix.weight[0]).toBeCloseTo(1.9, 6);
  expect(vector.weight[0]).toBe(2);
});

test("the norm runs over all gradients, and large ones do not overflow", () => {
  expect(gradientNorm([Float32Array.of(3, 0, 0, 0, 0), Float32Array.of(4)])).toBe(5);
  expect(gradientNorm([Float32Array.of(3e38, 3e38)])).toBeCloseTo(Math.SQRT2 * Math.fround(3e38), -30);
  expect(gradientNorm([])).toBe(0);
});

test("gradients are scaled down to the largest norm and never up", () => {
  expect(clipScale(0.5, 1)).toBe(1);
  expect(clipScale(4, 1)).toBeCloseTo(0.25, 6);
});
