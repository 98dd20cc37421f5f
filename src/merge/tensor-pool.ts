/**
 * The threads that share the tensors of a merge; Ctrl-C ends all tensors at once. A thread takes some 100 ms to start,
 * so that small merges are done in this one.
 */
import { availableParallelism } from "node:os";
import { throwIfInterrupted } from "../errors.ts";
import { openThreadPool, type ThreadPool } from "../threads/pool.ts";
import { createTensorWork, type TensorSetup, type TensorWork } from "./tensor-work.ts";

const STAGE = "merge";
/** Inputs and output that are merged in the time that a thread takes to start and warm up, bytes. */
const WORTH_A_THREAD = 64e6;
/** A thread holds a block, and what its method keeps of a tensor; no disk keeps more of them busy. */
const MOST_THREADS = 8;

/** How many threads a merge of so many bytes is worth. */
export function usefulThreads(bytes: number, tensors: number): number {
  return Math.max(1, Math.min(availableParallelism(), MOST_THREADS, tensors, Math.floor(bytes / WORTH_A_THREAD)));
}

/** `advance` hears of the bytes of the inputs that went into the output. */
export function openTensorPool(
  setup: TensorSetup,
  threads: number,
  advance: (bytes: number) => void,
  signal: AbortSignal | undefined,
): ThreadPool<TensorWork> {
  const advanceHere = (bytes: number): void => {
    throwIfInterrupted(signal, STAGE);
    advance(bytes);
  };
  return openThreadPool({
    threads,
    setup,
    script: new URL("./tensor-worker.js", import.meta.url),
    stage: STAGE,
    onNews: advance,
    signal,
    here: () => createTensorWork(setup, advanceHere),
    there: ({ call }) => ({
      measure: (tensor) => call("measure", tensor),
      merge: (job) => call("merge", job),
      hash: (files) => call("hash", files),
      close: () => call("close", undefined),
    }),
    close: (work) => work.close(),
  });
}
