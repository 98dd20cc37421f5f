/**
 * Workers that share the tasks of a stage: threads, or this thread alone. Whoever is free takes the next task; what
 * comes out does not depend on who took which.
 */
import { throwIfInterrupted } from "../errors.ts";
import type { Callable } from "./messages.ts";
import { startThread, type Thread, type ThreadOptions } from "./thread.ts";

export interface ThreadPool<Work> {
  /**
   * Runs `count` tasks, begun in order; their results, in order. Where several fail the error is the first one's,
   * whatever the number of threads.
   */
  each<Result>(count: number, run: (work: Work, task: number) => Promise<Result>): Promise<Result[]>;
  /** The results of every worker. */
  all<Result>(run: (work: Work) => Promise<Result>): Promise<Result[]>;
  dispose(): Promise<void>;
}

export interface PoolOptions<Setup, News, Work extends Callable<Work>> extends ThreadOptions<Setup, News> {
  /** One is this thread. */
  readonly threads: number;
  /** The work done by this thread. */
  readonly here: () => Work;
  /** The work done by a thread: every function a call of the same name. */
  readonly there: (thread: Thread<Work>) => Work;
  /** What a worker does last, unless it was interrupted. */
  readonly close?: (work: Work) => Promise<unknown>;
  /** Ends all tasks at once. A stage that would rather finish those under way throws between them. */
  readonly signal?: AbortSignal | undefined;
}

interface Worker<Work> {
  readonly work: Work;
  interrupt(): void;
  end(): Promise<void>;
}

export function openThreadPool<Setup, News, Work extends Callable<Work>>(
  options: PoolOptions<Setup, News, Work>,
): ThreadPool<Work> {
  const { threads, signal, stage } = options;
  const workers = threads === 1 ? [workHere(options)] : Array.from({ length: threads }, () => workThere(options));
  const interrupt = (): void => {
    for (const worker of workers) worker.interrupt();
  };
  signal?.addEventListener("abort", interrupt, { once: true });
  return {
    each: async <Result>(count: number, run: (work: Work, task: number) => Promise<Result>) => {
      const results: Result[] = new Array(count);
      const errors = new Map<number, unknown>();
      let next = 0;
      const takeTasks = async ({ work }: Worker<Work>): Promise<void> => {
        while (next < count && errors.size === 0) {
          const task = next++;
          try {
            throwIfInterrupted(signal, stage);
            results[task] = await run(work, task);
          } catch (error) {
            errors.set(task, error);
          }
        }
      };
      await Promise.all(workers.map(takeTasks));
      throwIfInterrupted(signal, stage);
      if (errors.size > 0) throw errors.get(Math.min(...errors.keys()));
      return results;
    },
    all: (run) => Promise.all(workers.map(({ work }) => run(work))),
    dispose: async () => {
      signal?.removeEventListener("abort", interrupt);
      await Promise.all(workers.map(({ end }) => end()));
    },
  };
}

function workHere<Setup, News, Work extends Callable<Work>>({
  here,
  close,
}: PoolOptions<Setup, News, Work>): Worker<Work> {
  const work = here();
  return {
    work,
    interrupt: () => {},
    end: async () => {
      await close?.(work);
    },
  };
}

function workThere<Setup, News, Work extends Callable<Work>>(options: PoolOptions<Setup, News, Work>): Worker<Work> {
  const thread = startThread<Setup, News, Work>(options);
  const work = options.there(thread);
  return {
    work,
    interrupt: thread.interrupt,
    end: async () => {
      if (!thread.interrupted) await options.close?.(work);
      await thread.terminate();
    },
  };
}
