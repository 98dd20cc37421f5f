/**
 * Arrays that stay from one tensor to the next, in memory where kernels compute in vectors: what is handed out under a
 * name is valid until the name comes again, with whatever it held before.
 */
import { createVectorMemory } from "./kernels/index.ts";

export interface BlockMemory {
  bytes(name: string, count: number): Uint8Array<ArrayBuffer>;
  doubles(name: string, count: number): Float64Array<ArrayBuffer>;
  /** 32 bits each. */
  words(name: string, count: number): Uint32Array<ArrayBuffer>;
}

/** Address space, of which only what is used takes room: a block, its chunks, and five histograms make a third. */
const VECTOR_BYTES = 1 << 26;
/** Every array begins at a cache line, and has one behind its end, which kernels may read and write. */
const LINE = 64;

/** With 0 bytes for vectors everything is plain memory. */
export function createBlockMemory(vectorBytes: number = VECTOR_BYTES): BlockMemory {
  const vectors = vectorBytes > 0 ? createVectorMemory(vectorBytes) : undefined;
  let used = 0;
  const regions = new Map<string, Uint8Array<ArrayBuffer>>();

  const allocate = (bytes: number): Uint8Array<ArrayBuffer> => {
    const whole = (Math.ceil(bytes / LINE) + 1) * LINE;
    // Many models, or wide dtypes: what has no room is plain memory, and merged by plain kernels.
    if (vectors === undefined || used + whole > vectors.byteLength) return new Uint8Array(whole);
    used += whole;
    return new Uint8Array(vectors, used - whole, whole);
  };
  const region = (name: string, bytes: number): Uint8Array<ArrayBuffer> => {
    let kept = regions.get(name);
    if (kept === undefined || kept.byteLength < bytes + LINE) {
      kept = allocate(bytes);
      regions.set(name, kept);
    }
    return kept;
  };
  return {
    bytes: (name, count) => region(name, count).subarray(0, count),
    doubles: (name, count) => {
      const { buffer, byteOffset } = region(name, 8 * count);
      return new Float64Array(buffer, byteOffset, count);
    },
    words: (name, count) => {
      const { buffer, byteOffset } = region(name, 4 * count);
      return new Uint32Array(buffer, byteOffset, count);
    },
  };
}
