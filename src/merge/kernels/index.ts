/**
 * The kernels as merging calls them: in vectors where all their arrays lie in one memory that came from here, else in
 * plain TypeScript, with the same results to the bit. Processors and runtimes without vectors get plain memory, so that
 * nothing but the time depends on it.
 */

import { type Kernels, vectorKernels } from "../../vectors/memory.ts";
import * as conversions from "./conversions.ts";
import * as plain from "./plain-kernels.ts";
import { type KernelName, VECTOR_KERNELS } from "./vectors/index.ts";

type Argument = number | Float64Array | Float32Array | Uint32Array | Int32Array | Uint16Array | undefined;

const createKernels = vectorKernels(VECTOR_KERNELS);
const instances = new WeakMap<ArrayBufferLike, Kernels<KernelName>>();

/** Memory for arrays that kernels work on; undefined where there are no vectors. */
export function createVectorMemory(bytes: number): ArrayBuffer | undefined {
  const created = createKernels(bytes);
  if (created === undefined) return undefined;
  instances.set(created.buffer, created.kernels);
  return created.buffer;
}

/** The memory of the call under way, and whether one of its arrays was found elsewhere. */
let ofCall: ArrayBufferLike | undefined;
let elsewhere = false;

function addressOf(value: Argument): number {
  if (typeof value === "number") return value;
  if (value === undefined) return 0;
  if (value.buffer !== ofCall) elsewhere = true;
  return value.byteOffset;
}

/**
 * All kernels have an array first. A call is made for every few thousand entries and model: arguments that are spelled
 * out, up to the longest list there is, cost a fifth of a list that is walked. A function takes no notice of too many.
 */
function dispatch<Kernel extends (...values: never[]) => unknown>(name: KernelName, kernel: Kernel): Kernel {
  const plainly = kernel as unknown as (...values: Argument[]) => unknown;
  const dispatched = (
    a: Argument,
    b: Argument,
    c: Argument,
    d: Argument,
    e: Argument,
    f: Argument,
    g: Argument,
    h: Argument,
    i: Argument,
    j: Argument,
  ) => {
    ofCall = (a as Float64Array).buffer;
    elsewhere = false;
    const vectors = instances.get(ofCall);
    if (vectors === undefined) return plainly(a, b, c, d, e, f, g, h, i, j);
    const at = [
      addressOf(a),
      addressOf(b),
      addressOf(c),
      addressOf(d),
      addressOf(e),
      addressOf(f),
      addressOf(g),
      addressOf(h),
      addressOf(i),
      addressOf(j),
    ] as const;
    if (elsewhere) return plainly(a, b, c, d, e, f, g, h, i, j);
    return vectors[name](at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8], at[9]);
  };
  return dispatched as unknown as Kernel;
}

export const widenBfloat16: typeof conversions.widenBfloat16 = dispatch("widenBfloat16", conversions.widenBfloat16);
export const widenFloat16: typeof conversions.widenFloat16 = dispatch("widenFloat16", conversions.widenFloat16);
export const widenFloat32: typeof conversions.widenFloat32 = dispatch("widenFloat32", conversions.widenFloat32);
export const narrowBfloat16: typeof conversions.narrowBfloat16 = dispatch("narrowBfloat16", conversions.narrowBfloat16);
export const narrowFloat32: typeof conversions.narrowFloat32 = dispatch("narrowFloat32", conversions.narrowFloat32);
export const addWeights: typeof plain.addWeights = dispatch("addWeights", plain.addWeights);
export const addUpdates: typeof plain.addUpdates = dispatch("addUpdates", plain.addUpdates);
export const elect: typeof plain.elect = dispatch("elect", plain.elect);
export const subtract: typeof plain.subtract = dispatch("subtract", plain.subtract);
export const magnitudes: typeof plain.magnitudes = dispatch("magnitudes", plain.magnitudes);
export const keepBetween: typeof plain.keepBetween = dispatch("keepBetween", plain.keepBetween);
export const keepMarked: typeof plain.keepMarked = dispatch("keepMarked", plain.keepMarked);
export const variances: typeof plain.variances = dispatch("variances", plain.variances);
export const product: typeof plain.product = dispatch("product", plain.product);
export const sumOfMagnitudes: typeof plain.sumOfMagnitudes = dispatch("sumOfMagnitudes", plain.sumOfMagnitudes);
export const addSquares: typeof plain.addSquares = dispatch("addSquares", plain.addSquares);
export const countBins: typeof plain.countBins = dispatch("countBins", plain.countBins);
export const findFrom: typeof plain.findFrom = dispatch("findFrom", plain.findFrom);
export const takeBetween: typeof plain.takeBetween = dispatch("takeBetween", plain.takeBetween);
export const addToBase: typeof plain.addToBase = dispatch("addToBase", plain.addToBase);
export const countMagnitudes: typeof plain.countMagnitudes = dispatch("countMagnitudes", plain.countMagnitudes);
export const gather: typeof plain.gather = dispatch("gather", plain.gather);
export const scatter: typeof plain.scatter = dispatch("scatter", plain.scatter);
