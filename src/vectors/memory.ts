/**
 * Functions of the assembler, compiled, and the memory that one instance of them works on. Processors and runtimes
 * without vectors get none: whoever asks has a plain namesake of every function.
 */
import { assemble, type FunctionSource } from "./assembler.ts";

/** Arguments are numbers, or the addresses of arrays. */
export type Kernels<Names extends string> = Readonly<Record<Names, (...values: number[]) => number>>;

export interface VectorMemory<Names extends string> {
  readonly buffer: ArrayBuffer;
  readonly kernels: Kernels<Names>;
}

/** What is used of the WebAssembly interface; the language's own types leave it to the browser's. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  Instance: new (module: object, imports: object) => { readonly exports: Kernels<string> };
};

const PAGE_BYTES = 65536;

/** Gives memories of so many bytes with kernels of their own, compiled once; undefined where there are no vectors. */
export function vectorKernels<Names extends string>(
  sources: Readonly<Record<Names, FunctionSource>>,
): (bytes: number) => VectorMemory<Names> | undefined {
  let compiled: object | undefined;
  return (bytes) => {
    try {
      compiled ??= new WebAssembly.Module(assemble(sources));
      const pages = Math.ceil(bytes / PAGE_BYTES);
      // Pages that nobody writes to take no room. It never grows, which would take the arrays away.
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
      return { buffer: memory.buffer, kernels: exports };
    } catch {
      return undefined;
    }
  };
}
