/**
 * The threads that share the tensors of a merge. Whoever is free takes the next; what comes out does not depend on who
 * took which. A thread takes some 100 ms to start, so that small merges are done in this one.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { FusechatError, failure, throwIfInterrupted } from "../errors.ts";
import { createTensorWork, type TensorSetup, type TensorWork } from "./tensor-work.ts";
import type { WorkReply, WorkRequest } from "./tensor-worker.ts";

export interface TensorPool {
  /**
   * Runs `count` tasks, begun in order. Where several fail the error is the first one's, whatever the number of threads;
   * Ctrl-C ends all tasks at once.
   */
  each(count: number, run: (work: TensorWork, task: number) => Promise<void>): Promise<void>;
  dispose(): Promise<void>;
}

const STAGE = "merge";
/** Inputs and output that are merged in the time that a thread takes to start and warm up, bytes. */
const WORTH_A_THREAD = 64e6;
/** A thread holds two blocks, and what its method keeps of a tensor; no disk keeps more of them busy. */
const MOST_THREADS = 8;

/** How many threads a merge of so many bytes is worth. */
export function usefulThreads(bytes: number, tensors: number): number {
  return Math.max(1, Math.min(availableParallelism(), MOST_THREADS, tensors, Math.floor(bytes / WORTH_A_THREAD)));
}

/** One thread is this one. `advance` hears of the bytes of the inputs that went into the output. */
export function openTensorPool(
  setup: TensorSetup,
  threads: number,
  advance: (bytes: number) => void,
  signal: AbortSignal | undefined,
): TensorPool {
  const inThisThread = (): WorkingThread => {
    const work = createTensorWork(setup, (bytes) => {
      throwIfInterrupted(signal, STAGE);
      advance(bytes);
    });
    return { work, interrupt: () => {}, end: () => work.close() };
  };
  const workers = threads === 1 ? [inThisThread()] : Array.from({ length: threads }, () => startThread(setup, advance));
  const interrupt = (): void => {
    for (const worker of workers) worker.interrupt();
  };
  signal?.addEventListener("abort", interrupt, { once: true });
  return {
    each: async (count, run) => {
      const errors = new Map<number, unknown>();
      let next = 0;
      const takeTasks = async ({ work }: WorkingThread): Promise<void> => {
        while (next < count && errors.size === 0) {
          const task = next++;
          try {
            throwIfInterrupted(signal, STAGE);
            await run(work, task);
          } catch (error) {
            errors.set(task, error);
          }
        }
      };
      await Promise.all(workers.map(takeTasks));
      throwIfInterrupted(signal, STAGE);
      if (errors.size > 0) throw errors.get(Math.min(...errors.keys()));
    },
    dispose: async () => {
      signal?.removeEventListener("abort", interrupt);
      await Promise.all(workers.map(({ end }) => end()));
    },
  };
}

interface WorkingThread {
  readonly work: TensorWork;
  /** Ends the call under way. */
  interrupt(): void;
  end(): Promise<void>;
}

function startThread(setup: TensorSetup, advance: (bytes: number) => void): WorkingThread {
  const worker = new Worker(new URL("./tensor-worker.js", import.meta.url), { execArgv: [], workerData: setup });
  // Set while a call is under way.
  let settle: ((reply: Exclude<WorkReply, { advanced: number }>) => void) | undefined;
  let ended: FusechatError | undefined;
  const stop = (error: FusechatError): void => {
    ended ??= error;
    settle?.({ error: ended });
  };
  worker.on("message", (reply: WorkReply) => {
    if ("advanced" in reply) advance(reply.advanced);
    else settle?.(reply);
  });
  worker.on("error", (error) => stop(failure(STAGE, `a thread stopped: ${error.message}`, error)));
  worker.on("exit", (code) => stop(failure(STAGE, `a thread ended with code ${code}`)));

  const call = <Output>(name: keyof TensorWork, input?: unknown): Promise<Output> =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) {
        reject(ended);
        return;
      }
      settle = (reply) => {
        settle = undefined;
        if ("error" in reply) reject(new FusechatError(reply.error.code, reply.error.message));
        // The worker answers with what the method of this name returns.
        else resolve(reply.output as Output);
      };
      worker.postMessage({ call: name, input } satisfies WorkRequest);
    });
  const work: TensorWork = {
    merge: (job) => call("merge", job),
    hash: (files) => call("hash", files),
    close: () => call("close"),
  };
  return {
    work,
    interrupt: () => stop(failure(STAGE, "interrupted")),
    end: async () => {
      if (ended === undefined) await work.close();
      await worker.terminate();
    },
  };
}
