/**
 * Runs a plan: every tensor is merged into its place in the output by whichever thread is free. The largest tensors of
 * a shard come first, so that no thread is left alone with one at the end. The same threads hash the inputs.
 */
import { join } from "node:path";
import type { Reporter } from "../reporter.ts";
import type { ThreadPool } from "../threads/pool.ts";
import type { OutputShard } from "./output-shards.ts";
import type { MergePlan } from "./plan.ts";
import { openShardFile, type ShardFile } from "./shard-file.ts";
import { inputsOf, outputEntries, type TensorPlan } from "./tensor-plan.ts";
import { openTensorPool, usefulThreads } from "./tensor-pool.ts";
import type { TensorReport, TensorWork } from "./tensor-work.ts";
import type { FinishedParts, FinishedTensors } from "./unfinished.ts";

export interface ExecuteOptions {
  /** The folder to write to, which exists. */
  readonly folder: string;
  readonly shards: readonly OutputShard[];
  /** Tensors that the folder already has. */
  readonly finished: FinishedParts;
  /** Of all that decides the bytes of the output. */
  readonly hash: string;
  readonly likeMergekit: boolean;
  /** Entries that are not finite are repaired instead of refused. */
  readonly repair: boolean;
  /** As many as pay where absent. The result does not depend on it. */
  readonly threads?: number;
}

export interface ExecuteContext {
  readonly reporter: Reporter;
  /** Ctrl-C: the threads are ended, and what they had in hand is lost. */
  readonly signal?: AbortSignal;
}

export interface Executed {
  /** Of every tensor, in the plan's order. */
  readonly reports: readonly TensorReport[];
  /** Of the weight files of every input, by the input's name. */
  readonly sha256: ReadonlyMap<string, string>;
}

const STAGE = "merge";
/** Hashing comes first; its speed says nothing of the merging's. */
const HASH_STAGE = "merge inputs";
const SURVEY_STAGE = "merge survey";
const MEGABYTE = 1e6;

interface Job {
  /** Its place in the plan. */
  readonly index: number;
  readonly tensor: TensorPlan;
  readonly shard: OutputShard;
}

/** Writes the plan's weights, shard by shard. */
export async function executePlan(
  plan: MergePlan,
  { folder, shards, finished, hash, likeMergekit, repair, threads }: ExecuteOptions,
  { reporter, signal }: ExecuteContext,
): Promise<Executed> {
  const reports: TensorReport[] = new Array(plan.tensors.length);
  for (const { file, first } of shards) {
    for (const [place, report] of finished.get(file) ?? []) reports[first + place] = report;
  }
  const jobs = shards.flatMap((shard) => jobsOf(plan, shard, finished.get(shard.file)));
  const inputs = plan.base === undefined ? plan.models : [...plan.models, plan.base];
  const sha256 = new Map<string, string>();

  const bytes = jobs.reduce((sum, { tensor }) => sum + inputBytes(tensor), 0);
  const hashing = progressOf(
    HASH_STAGE,
    inputs.reduce((sum, input) => sum + input.byteLength, 0),
    reporter,
  );
  const merging = progressOf(STAGE, bytes, reporter);

  const setup = { method: plan.method.name, likeMergekit, cast: plan.config.dtype, repair };
  const useful = usefulThreads(bytes + inputs.reduce((sum, input) => sum + input.byteLength, 0), jobs.length);
  const pool = openTensorPool(setup, threads ?? useful, merging.advance, signal);
  const opened = new Map<OutputShard, Promise<ShardFile>>();
  const left = new Map(shards.map((shard) => [shard, jobs.filter((job) => job.shard === shard).length]));
  const finishing: Promise<void>[] = [];
  const open = (shard: OutputShard): Promise<ShardFile> => {
    const file = opened.get(shard) ?? openShardFile(folder, shard, hash, finished.get(shard.file));
    opened.set(shard, file);
    return file;
  };
  const merge = async (work: TensorWork, { index, tensor, shard }: Job): Promise<void> => {
    const file = await open(shard);
    const place = index - shard.first;
    const position = shard.positions[place]!;
    const surveyed = figures.get(index);
    const report = await work.merge({ tensor, file: join(folder, shard.file), position, surveyed });
    reports[index] = report;
    left.set(shard, left.get(shard)! - 1);
    if (left.get(shard)! > 0) {
      file.written(place, report);
      return;
    }
    const flushed = file.finish(place, report);
    // Told below, while the thread goes on with the next tensor.
    flushed.catch(() => {});
    finishing.push(flushed);
  };
  let figures: ReadonlyMap<number, Float64Array> = new Map();
  try {
    if (jobs.length > 0) figures = await survey(plan, pool, reporter);
    await pool.each(inputs.length + jobs.length, async (work, task) => {
      const input = inputs[task];
      if (input === undefined) {
        merging.begin();
        await merge(work, jobs[task - inputs.length]!);
      } else {
        hashing.begin();
        sha256.set(input.name, await work.hash(input.files));
        hashing.advance(input.byteLength);
      }
    });
    await Promise.all(finishing);
  } finally {
    await pool.dispose();
    await Promise.allSettled(finishing);
    for (const file of opened.values()) await (await file.catch(() => undefined))?.close();
  }
  return { reports, sha256 };
}

/** What the tensors' scopes have in common, by their places in the plan; empty for most methods. */
async function survey(
  { method, tensors }: MergePlan,
  pool: ThreadPool<TensorWork>,
  reporter: Reporter,
): Promise<ReadonlyMap<number, Float64Array>> {
  const scopes = tensors.map(({ options, name, copied }) =>
    copied === undefined ? method.survey?.scope(options, name) : undefined,
  );
  const places = [...scopes.keys()].filter((place) => scopes[place] !== undefined);
  if (places.length === 0) return new Map();
  const bytes = places.reduce((sum, place) => sum + inputBytes(tensors[place]!), 0);
  const progress = progressOf(SURVEY_STAGE, bytes, reporter);
  progress.begin();
  const measured = await pool.each(places.length, async (work, at) => {
    const tensor = tensors[places[at]!]!;
    const own = await work.measure(tensor);
    progress.advance(inputBytes(tensor));
    return own;
  });
  const sums = new Map<string, Float64Array>();
  for (const [at, own] of measured.entries()) {
    const scope = scopes[places[at]!]!;
    const sum = sums.get(scope);
    if (sum === undefined) sums.set(scope, own);
    else for (const [j, value] of own.entries()) sum[j]! += value;
  }
  return new Map(places.map((place) => [place, sums.get(scopes[place]!)!]));
}

/** Tells of a number of bytes in megabytes; what is told before the beginning begins it. */
function progressOf(stage: string, bytes: number, { report }: Reporter): Progress {
  const total = Math.ceil(bytes / MEGABYTE);
  let hasBegun = false;
  let done = 0;
  const begin = (): void => {
    if (hasBegun) return;
    hasBegun = true;
    report({ type: "start", stage, total, unit: "MB" });
  };
  return {
    begin,
    advance: (more) => {
      if (more === 0) return;
      begin();
      done += more;
      report({ type: "progress", stage, done: Math.round(done / MEGABYTE), total, unit: "MB" });
    },
  };
}

interface Progress {
  begin(): void;
  advance(bytes: number): void;
}

/** What is left to do of a shard, the largest first. */
function jobsOf({ tensors }: MergePlan, shard: OutputShard, finished: FinishedTensors = new Map()): Job[] {
  const jobs = shard.positions.map((_, place): Job => {
    const index = shard.first + place;
    return { index, tensor: tensors[index]!, shard };
  });
  const missing = jobs.filter(({ index }) => !finished.has(index - shard.first));
  return missing.sort((a, b) => outputEntries(b.tensor) - outputEntries(a.tensor) || a.index - b.index);
}

function inputBytes(tensor: TensorPlan): number {
  return inputsOf(tensor).reduce((total, { byteLength }) => total + byteLength, 0);
}
