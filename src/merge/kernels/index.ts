/**
 * The kernels as merging calls them: in vectors where their arrays lie in a memory that came from here, else in plain
 * TypeScript, with the same results to the bit. Processors and runtimes without vectors get plain memory, so that
 * nothing but the time depends on it.
 */
import { assemble } from "./assembler.ts";
import * as conversions from "./conversions.ts";
import * as plain from "./plain-kernels.ts";
import { type KernelName, SIMD_KERNELS } from "./simd-kernels.ts";

type Argument = number | Float64Array | Float32Array | Uint32Array | Int32Array | Uint16Array;

/** What is used of the WebAssembly interface; the language's own types leave it to the browser's. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  Instance: new (
    module: object,
    imports: object,
  ) => { readonly exports: Readonly<Record<KernelName, (...values: number[]) => number>> };
};

const PAGE_BYTES = 65536;
/** The first page is for short arrays that lie elsewhere: they are copied there for a call. */
const CALL_BYTES = PAGE_BYTES;

interface Instance {
  readonly kernels: Readonly<Record<KernelName, (...values: number[]) => number>>;
  readonly bytes: Uint8Array;
}

const instances = new WeakMap<ArrayBufferLike, Instance>();
let compiled: object | undefined;

/** Memory for arrays of chunks, of which the first `used` bytes are taken; undefined where there are no vectors. */
export function createVectorMemory(bytes: number): { readonly buffer: ArrayBuffer; readonly used: number } | undefined {
  try {
    compiled ??= new WebAssembly.Module(assemble(SIMD_KERNELS));
    const pages = Math.ceil((CALL_BYTES + bytes) / PAGE_BYTES);
    // Pages that nobody writes to take no room. It never grows, which would take the arrays away.
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
    instances.set(memory.buffer, { kernels: exports, bytes: new Uint8Array(memory.buffer) });
    return { buffer: memory.buffer, used: CALL_BYTES };
  } catch {
    return undefined;
  }
}

/** Calls the vector kernel where the last argument that is an array lies in vector memory. */
function dispatch<Arguments extends Argument[], Result>(
  name: KernelName,
  kernel: (...values: Arguments) => Result,
): (...values: Arguments) => Result {
  return (...values) => {
    const instance = instanceOf(values);
    const addresses = instance && addressesOf(values, instance);
    return addresses === undefined ? kernel(...values) : (instance!.kernels[name](...addresses) as Result);
  };
}

function instanceOf(values: readonly Argument[]): Instance | undefined {
  const last = values.findLast((value) => typeof value !== "number") as Exclude<Argument, number>;
  return instances.get(last.buffer);
}

/** Undefined where an array lies elsewhere and is too long to be copied. */
function addressesOf(values: readonly Argument[], { bytes }: Instance): number[] | undefined {
  let end = 0;
  const addresses: number[] = [];
  for (const value of values) {
    if (typeof value === "number") addresses.push(value);
    else if (value.buffer === bytes.buffer) addresses.push(value.byteOffset);
    else {
      if (end + value.byteLength > CALL_BYTES) return undefined;
      bytes.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), end);
      addresses.push(end);
      end += (value.byteLength + 15) & ~15;
    }
  }
  return addresses;
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
export const squaredDistance: typeof plain.squaredDistance = dispatch("squaredDistance", plain.squaredDistance);
export const countBins: typeof plain.countBins = dispatch("countBins", plain.countBins);
export const findFrom: typeof plain.findFrom = dispatch("findFrom", plain.findFrom);
export const takeBetween: typeof plain.takeBetween = dispatch("takeBetween", plain.takeBetween);
export const addToBase: typeof plain.addToBase = dispatch("addToBase", plain.addToBase);
export const countMagnitudes: typeof plain.countMagnitudes = dispatch("countMagnitudes", plain.countMagnitudes);
export const gather: typeof plain.gather = dispatch("gather", plain.gather);
export const scatter: typeof plain.scatter = dispatch("scatter", plain.scatter);
