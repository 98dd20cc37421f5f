/**
 * The threads that share the units of an alignment. A thread costs some 60 ms to start, so that small folders are done
 * in this one.
 */
import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { openThreadPool, type ThreadPool } from "../../threads/pool.ts";
import { createUnitWork, type UnitSetup, type UnitWork } from "./unit-work.ts";
import type { Unit } from "./units.ts";

export type UnitPool = ThreadPool<UnitWork>;

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

export function openUnitPool(setup: UnitSetup, threads: number): UnitPool {
  return openThreadPool({
    threads,
    setup,
    script: new URL("./unit-worker.js", import.meta.url),
    stage: "align",
    here: () => createUnitWork(setup),
    there: ({ call }) => ({
      survey: (unit) => call("survey", unit),
      surveyed: (nothing) => call("surveyed", nothing),
      plan: (plan) => call("plan", plan),
      write: (request) => call("write", request),
    }),
  });
}

/** Threads for one walk over the units; what they hold goes with them. */
export async function withUnitPool<Result>(
  setup: UnitSetup,
  threads: number,
  walk: (pool: UnitPool) => Promise<Result>,
): Promise<Result> {
  const pool = openUnitPool(setup, threads);
  try {
    return await walk(pool);
  } finally {
    await pool.dispose();
  }
}
