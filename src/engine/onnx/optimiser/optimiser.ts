/**
 * Gradients summed, clipped and made into updates by all threads: each has a share of the tensors, and memory moves to
 * it and back without a copy, for the runtime takes no memory that threads have in common. What comes out does not
 * depend on the shares: every tensor is one thread's, and the norm is summed in the order of the tensors.
 */

import { startThread } from "../../../threads/thread.ts";
import type { Parameter, Update } from "./adamw.ts";
import { buffersOf, createOptimiserWork, type LookedUp, type OptimiserWork, type Values } from "./work.ts";

export interface TensorLength {
  readonly name: string;
  readonly length: number;
}

/** Owns threads: `dispose` ends them. */
export interface Optimiser {
  /** Adds a micro-batch's gradients to the sums. Their arrays, and the rows, are given away. */
  add(gradients: ReadonlyMap<string, Values>, lookedUp: LookedUp): Promise<void>;
  /** Global L2 norm over the sums, in doubles. */
  norm(): Promise<number>;
  /** Updates by the sums, which are gone afterwards; the parameters come back as new arrays of the same memory. */
  update(parameters: Map<string, Parameter>, update: Update): Promise<void>;
  /** Drops the sums. */
  forget(): Promise<void>;
  dispose(): Promise<void>;
}

interface Worker {
  /** Of its tensors. */
  readonly names: readonly string[];
  readonly work: OptimiserWork;
  readonly end: () => Promise<void>;
}

/** Parameters whose update takes 10 ms: a thread costs 60 to start, once, and a step's messages less than one. */
const WORTH_A_THREAD = 4e6;
/** A thread has some 10 MB of its own; more of them wait for memory. */
const MOST_THREADS = 8;

/** How many threads a model of so many parameters is worth. */
export function usefulThreads(parameters: number, threads: number): number {
  return Math.max(1, Math.min(threads, MOST_THREADS, Math.floor(parameters / WORTH_A_THREAD)));
}

/** `embedding` is the tensor whose rows are looked up. This thread is one of the `threads`. */
export function openOptimiser(tensors: readonly TensorLength[], embedding: string, threads: number): Optimiser {
  const workers = shares(tensors, threads).map((share, index) => openWorker(share, index > 0));
  /** This thread works last, when the others have begun. */
  const all = async <Result>(run: (worker: Worker) => Promise<Result>): Promise<Result[]> =>
    (await Promise.all([...workers].reverse().map(run))).reverse();
  return {
    add: async (gradients, lookedUp) => {
      await all(({ names, work }) =>
        work.add({
          tensors: names.map((name) => gradients.get(name) ?? null),
          lookedUp: names.includes(embedding) ? { ...lookedUp, tensor: names.indexOf(embedding) } : null,
        }),
      );
    },
    norm: async () => {
      const squares = new Map<string, number>();
      const found = await all(({ work }) => work.sumsOfSquares(null));
      workers.forEach(({ names }, index) => {
        names.forEach((name, tensor) => {
          squares.set(name, found[index]![tensor]!);
        });
      });
      let total = 0;
      for (const { name } of tensors) total += squares.get(name)!;
      return Math.sqrt(total);
    },
    update: async (parameters, update) => {
      const updated = await all(({ names, work }) =>
        work.update({ parameters: names.map((name) => parameters.get(name)!), update }),
      );
      workers.forEach(({ names }, index) => {
        names.forEach((name, tensor) => {
          parameters.set(name, updated[index]![tensor]!);
        });
      });
    },
    forget: async () => {
      await all(({ work }) => work.forget(null));
    },
    dispose: async () => {
      await all(({ end }) => end());
    },
  };
}

function openWorker(share: readonly TensorLength[], elsewhere: boolean): Worker {
  const names = share.map(({ name }) => name);
  const lengths = share.map(({ length }) => length);
  if (!elsewhere) return { names, work: createOptimiserWork(lengths), end: async () => {} };
  const { call, terminate } = startThread<readonly number[], never, OptimiserWork>({
    script: new URL("./worker.js", import.meta.url),
    setup: lengths,
    stage: "engine",
  });
  return {
    names,
    work: {
      add: (gradients) => call("add", gradients, buffersOf(gradients)),
      sumsOfSquares: (nothing) => call("sumsOfSquares", nothing),
      update: (request) => call("update", request, buffersOf(request)),
      forget: (nothing) => call("forget", nothing),
    },
    end: terminate,
  };
}

/** Tensors from the largest on, each to who has least. */
function shares(tensors: readonly TensorLength[], count: number): TensorLength[][] {
  const all = Array.from({ length: count }, () => ({ entries: 0, tensors: [] as TensorLength[] }));
  for (const tensor of [...tensors].sort((a, b) => b.length - a.length)) {
    const least = all.reduce((found, share) => (share.entries < found.entries ? share : found));
    least.entries += tensor.length;
    least.tensors.push(tensor);
  }
  return all.map((share) => share.tensors);
}
