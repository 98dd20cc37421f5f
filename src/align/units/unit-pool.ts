/**
 * The threads that share the units of an alignment. Whoever is free takes the next unit; what comes out does not depend
 * on who took which. A thread costs some 60 ms to start, so that small folders are done in this one.
 */
import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { FusechatError, failure } from "../../errors.ts";
import { createUnitWork, type UnitSetup, type UnitWork } from "./unit-work.ts";
import type { WorkReply, WorkRequest } from "./unit-worker.ts";
import type { Unit } from "./units.ts";

export interface UnitPool {
  /** The results of all units, in order. Where several fail, the error is the first one's. */
  each<Result>(count: number, run: (work: UnitWork, unit: number) => Promise<Result>): Promise<Result[]>;
  /** The results of every worker. */
  all<Result>(run: (work: UnitWork) => Promise<Result>): Promise<Result[]>;
  dispose(): Promise<void>;
}

/** Shards that are read in the time that a thread takes to start and warm up, bytes. */
const WORTH_A_THREAD = 32e6;
/** A thread holds a shard of each side, 40 MB with its own needs; the disk keeps no more of them busy. */
const MOST_THREADS = 8;

/** How many threads these units are worth. */
export async function usefulThreads(units: readonly Unit[]): Promise<number> {
  const sizes = await Promise.all(units.flatMap(({ pivot, sources }) => [pivot, ...sources]).map((path) => stat(path)));
  const bytes = sizes.reduce((sum, { size }) => sum + size, 0);
  return Math.max(1, Math.min(availableParallelism(), MOST_THREADS, units.length, Math.floor(bytes / WORTH_A_THREAD)));
}

/** One thread is this one. */
export function openUnitPool(setup: UnitSetup, threads: number): UnitPool {
  const workers = threads === 1 ? [] : Array.from({ length: threads }, () => startWorker(setup));
  const works = threads === 1 ? [createUnitWork(setup)] : workers.map(({ work }) => work);
  return {
    each: async <Result>(count: number, run: (work: UnitWork, unit: number) => Promise<Result>) => {
      const results: Result[] = new Array(count);
      const errors = new Map<number, unknown>();
      let next = 0;
      const takeUnits = async (work: UnitWork): Promise<void> => {
        while (next < count && errors.size === 0) {
          const unit = next++;
          try {
            results[unit] = await run(work, unit);
          } catch (error) {
            errors.set(unit, error);
          }
        }
      };
      await Promise.all(works.map(takeUnits));
      if (errors.size > 0) throw errors.get(Math.min(...errors.keys()));
      return results;
    },
    all: (run) => Promise.all(works.map(run)),
    dispose: async () => {
      await Promise.all(workers.map(({ end }) => end()));
    },
  };
}

function startWorker(setup: UnitSetup): { work: UnitWork; end(): Promise<void> } {
  const worker = new Worker(new URL("./unit-worker.js", import.meta.url), { execArgv: [], workerData: setup });
  // Set while a call is under way.
  let settle: ((reply: WorkReply) => void) | undefined;
  let ended: FusechatError | undefined;
  const stop = (error: FusechatError): void => {
    ended ??= error;
    settle?.({ error: ended });
  };
  worker.on("message", (reply: WorkReply) => settle?.(reply));
  worker.on("error", (error) => stop(failure("align", `a thread stopped: ${error.message}`, error)));
  worker.on("exit", (code) => stop(failure("align", `a thread ended with code ${code}`)));

  const call = <Output>(name: keyof UnitWork, input: unknown): Promise<Output> =>
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
  return {
    work: {
      survey: (unit) => call("survey", unit),
      surveyed: (nothing) => call("surveyed", nothing),
      plan: (plan) => call("plan", plan),
      write: (request) => call("write", request),
    },
    end: async () => {
      await worker.terminate();
    },
  };
}
