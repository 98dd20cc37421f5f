/** The update and the norm against the recurrence; vectors against the plain loops, to the bit. */
import { describe, expect, test } from "vitest";
import { ADAMW } from "#src/engine/engine.js";
import {
  clipScale,
  type OptimiserKernels,
  type Parameter,
  PLAIN_KERNELS,
  updateOf,
} from "#src/engine/onnx/optimiser/adamw.js";
import { createVectorKernels } from "#src/engine/onnx/optimiser/vectors.js";
import { createRandom } from "#src/random.js";

const VECTOR_KERNELS = createVectorKernels()!;

const parameter = (weight: number[], decays = true): Parameter => ({
  weight: Float32Array.from(weight),
  mean: new Float32Array(weight.length),
  square: new Float32Array(weight.length),
  decays,
});

describe.each([
  ["plain", PLAIN_KERNELS],
  ["in vectors", VECTOR_KERNELS],
] satisfies [string, OptimiserKernels][])("%s", (_, { sumOfSquares, update, addTo }) => {
  test("the first step moves every weight by the learning rate against its gradient", () => {
    const p = parameter([1, 1, 1]);
    update(p, Float32Array.of(0.5, -2, 0), updateOf(1, 0.01, 1, ADAMW));
    // The bias corrections cancel the moments: g / (|g| + 1e-8).
    expect(p.weight[0]).toBeCloseTo(0.99, 7);
    expect(p.weight[1]).toBeCloseTo(1.01, 7);
    expect(p.weight[2]).toBe(1);
    expect(p.mean[1]).toBeCloseTo(-0.2, 7);
    expect(p.square[1]).toBeCloseTo(0.004, 8);
  });

  test("three steps follow the recurrence written out in doubles", () => {
    const options = { ...ADAMW, weightDecay: 0.1 };
    const p = parameter([0.3]);
    let [w, m, v] = [Math.fround(0.3), 0, 0];
    for (const [index, g] of [0.25, -0.5, 1.5].entries()) {
      const step = index + 1;
      update(p, Float32Array.of(g), updateOf(step, 0.02, 0.5, options));
      m = 0.9 * m + 0.1 * (g / 2);
      v = 0.999 * v + 0.001 * (g / 2) ** 2;
      const bias1 = 1 - 0.9 ** step;
      const bias2 = 1 - 0.999 ** step;
      w = w * (1 - 0.02 * 0.1) - (0.02 * (m / bias1)) / (Math.sqrt(v / bias2) + 1e-8);
      expect(p.weight[0]).toBeCloseTo(w, 6);
    }
  });

  test("weight decay leaves vectors alone", () => {
    const numbers = updateOf(1, 0.1, 1, { ...ADAMW, weightDecay: 0.5 });
    const matrix = parameter([2]);
    const vector = parameter([2], false);
    for (const one of [matrix, vector]) update(one, Float32Array.of(0), numbers);
    expect(matrix.weight[0]).toBeCloseTo(1.9, 6);
    expect(vector.weight[0]).toBe(2);
  });

  test("squares of large entries do not overflow", () => {
    expect(sumOfSquares(Float32Array.of(3, 0, 0, 0, 4))).toBe(25);
    expect(Math.sqrt(sumOfSquares(Float32Array.of(3e38, 3e38)))).toBeCloseTo(Math.SQRT2 * Math.fround(3e38), -30);
    expect(sumOfSquares(new Float32Array(0))).toBe(0);
    expect(sumOfSquares(Float32Array.of(1, Number.NaN, 1, 1))).toBeNaN();
    expect(sumOfSquares(Float32Array.of(1, 1, 1, 1, Number.POSITIVE_INFINITY))).toBe(Number.POSITIVE_INFINITY);
  });

  test("sums are rounded to single precision", () => {
    const sum = Float32Array.of(1, 2, 3, 4, 2 ** 24);
    addTo(sum, Float32Array.of(0.5, -2, 2 ** -30, 1e-45, 1));
    expect([...sum]).toEqual([1.5, 0, 3, 4, 2 ** 24]);
  });
});

/** Numbers of every size: subnormal, zero of either sign, so large that squares overflow single precision. */
function numbers(seed: string, length: number): Float32Array<ArrayBuffer> {
  const random = createRandom(seed);
  return Float32Array.from({ length }, () => {
    const kind = random.integer(12);
    if (kind === 0) return 0;
    if (kind === 1) return -0;
    if (kind === 2) return random.integer(4000) * 2 ** -149;
    return random.normal() * 2 ** (random.integer(kind === 3 ? 250 : 24) - (kind === 3 ? 140 : 20));
  });
}

const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer);

// Whole blocks of 8,192, parts of one, and lengths that no vector divides.
test.each([1, 2, 3, 4, 5, 8, 1001, 8192, 16_391])("vectors give the same bits for %d entries", (length) => {
  const of = (): Parameter => ({
    weight: numbers("weight", length),
    mean: numbers("mean", length),
    square: numbers("square", length).map(Math.abs),
    decays: length % 2 === 1,
  });
  const options = { ...ADAMW, weightDecay: 0.03 };
  const [plain, vectors] = [of(), of()];
  for (let step = 1; step <= 2; step++) {
    const gradient = numbers(`gradient ${step}`, length);
    expect(VECTOR_KERNELS.sumOfSquares(gradient)).toBe(PLAIN_KERNELS.sumOfSquares(gradient));
    const [sum, other] = [numbers("sum", length), numbers("sum", length)];
    PLAIN_KERNELS.addTo(sum, gradient);
    VECTOR_KERNELS.addTo(other, gradient);
    expect(bits(other)).toEqual(bits(sum));
    const update = updateOf(step, 10 ** -step, 0.37, options);
    PLAIN_KERNELS.update(plain, gradient, update);
    VECTOR_KERNELS.update(vectors, gradient, update);
    for (const part of ["weight", "mean", "square"] as const) {
      expect([part, bits(vectors[part])]).toEqual([part, bits(plain[part])]);
    }
  }
});

test("gradients are scaled down to the largest norm and never up", () => {
  expect(clipScale(0.5, 1)).toBe(1);
  expect(clipScale(4, 1)).toBeCloseTo(0.25, 6);
});
