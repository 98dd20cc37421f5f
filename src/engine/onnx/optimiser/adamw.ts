/**
 * AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", algorithm 2), in place over Float32Arrays.
 * The arithmetic is in doubles and only the results are rounded. These loops define the results; `vectors.ts` gives the
 * same bits in a third of the time.
 */
import type { OptimiserOptions } from "../../engine.ts";

/** One weight and its moments; all arrays have the same length. */
export interface Parameter {
  readonly weight: Float32Array<ArrayBuffer>;
  /** Running mean of the gradient. */
  readonly mean: Float32Array<ArrayBuffer>;
  /** Running mean of the squared gradient. */
  readonly square: Float32Array<ArrayBuffer>;
  /** Whether weight decay applies: tensors of two or more dimensions only. */
  readonly decays: boolean;
}

/** The numbers of one update. */
export interface Update {
  /** The learning rate, corrected for a mean that began at zero. */
  readonly stepSize: number;
  /** The same correction for the root of the mean square. */
  readonly squareScale: number;
  /** What gradients are multiplied with first. */
  readonly gradientScale: number;
  /** What weights that decay are multiplied with. */
  readonly kept: number;
  readonly options: OptimiserOptions;
}

/** The loops over one tensor that an optimiser step consists of. */
export interface OptimiserKernels {
  /** Adds `values` to `sum`, each entry rounded to single precision. */
  addTo(sum: Float32Array, values: Float32Array): void;
  /** In doubles, by four sums side by side: entry i goes to sum i % 4, those behind the last whole four to the first. */
  sumOfSquares(values: Float32Array): number;
  update(parameter: Parameter, gradient: Float32Array, update: Update): void;
}

/** What gradients are multiplied with so that their norm is at most `clipNorm` (PyTorch's clip_grad_norm_). */
export function clipScale(norm: number, clipNorm: number): number {
  return Math.min(1, clipNorm / (norm + 1e-6));
}

/** Update number `step` (from 1), with gradients multiplied by `gradientScale` first. */
export function updateOf(step: number, learningRate: number, gradientScale: number, options: OptimiserOptions): Update {
  return {
    stepSize: learningRate / (1 - options.beta1 ** step),
    squareScale: 1 / Math.sqrt(1 - options.beta2 ** step),
    gradientScale,
    kept: 1 - learningRate * options.weightDecay,
    options,
  };
}

export const PLAIN_KERNELS: OptimiserKernels = { addTo, sumOfSquares, update };

function addTo(sum: Float32Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + values[i]!;
}

/** One sum alone waits for each addition and takes 0.9 ns an element instead of 0.5. */
function sumOfSquares(values: Float32Array): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const whole = values.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    a += values[i]! ** 2;
    b += values[i + 1]! ** 2;
    c += values[i + 2]! ** 2;
    d += values[i + 3]! ** 2;
  }
  for (let i = whole; i < values.length; i++) a += values[i]! ** 2;
  return a + b + c + d;
}

function update(
  { weight, mean, square, decays }: Parameter,
  gradient: Float32Array,
  { stepSize, squareScale, gradientScale, kept, options }: Update,
): void {
  const { beta1, beta2, epsilon } = options;
  const keep = decays ? kept : 1;
  const new1 = 1 - beta1;
  const new2 = 1 - beta2;
  for (let i = 0; i < weight.length; i++) {
    const g = gradient[i]! * gradientScale;
    const m = mean[i]! * beta1 + g * new1;
    const v = square[i]! * beta2 + g * g * new2;
    mean[i] = m;
    square[i] = v;
    weight[i] = weight[i]! * keep - (stepSize * m) / (Math.sqrt(v) * squareScale + epsilon);
  }
}
