/**
 * The merge stage: plan, execute, and describe the result in a Hugging Face folder. The folder is built under another
 * name and renamed when it is whole, so that an output folder is either absent or finished; what an interrupted merge
 * had finished of it is gone on with.
 */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileError, writeFileAtomic, writeJson } from "../formats/files.ts";
import { renameForGood } from "../formats/folders.ts";
import { lockFolderToCome } from "../formats/lock.ts";
import type { HubFolder } from "../models/reference.ts";
import { silent } from "../reporter.ts";
import { computedOtherwise } from "../version.ts";
import type { MergeConfig } from "./config.ts";
import { checkSpace } from "./disk-space.ts";
import { type ExecuteContext, executePlan } from "./execute.ts";
import { writeModelFiles } from "./files/model-files.ts";
import { type FinishedMerge, findFinished } from "./finished.ts";
import { modelCard } from "./model-card.ts";
import { type OutputShard, planShards, SHARD_BYTES, writeShardIndex } from "./output-shards.ts";
import { type MergePlan, outputTensors, planMerge } from "./plan.ts";
import { identify, RECORD_FILE, recordOf, repairsOf, tensorRemarks } from "./record.ts";
import { outputEntries } from "./tensor-plan.ts";
import {
  countTensors,
  type FinishedParts,
  findUnfinished,
  hashPlan,
  hasRecords,
  openUnfinished,
  removeRecords,
  type Unfinished,
} from "./unfinished.ts";

export interface MergeOptions {
  /** The model folder to make. */
  readonly out: string;
  /** Relative model paths are looked up here first, then from the current folder, where they are looked up by default. */
  readonly baseFolder?: string;
  /** Gives models of the Hub; without it they are refused. */
  readonly hub?: HubFolder | undefined;
  /** Repeats known defects of mergekit. */
  readonly likeMergekit?: boolean;
  /** Takes entries that are NaN or infinite from the base, or as the mean of the other models, instead of refusing them. */
  readonly repair?: boolean;
  /** Largest output file in bytes; 5 GB where absent. */
  readonly shardBytes?: number;
  /** As many as pay where absent; the result does not depend on it. */
  readonly threads?: number;
}

export interface MergeSummary {
  readonly out: string;
  readonly method: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes_read: number;
  readonly bytes_written: number;
  /** The folder already held this very merge, and nothing was done. */
  readonly already_done: boolean;
  /** Tensors that an interrupted run of this merge had finished. */
  readonly tensors_kept: number;
}

const STAGE = "merge";

/** Merges models into a new folder. Errors name the model, the tensor and what was expected; nothing is left behind. */
export async function mergeModels(
  config: MergeConfig,
  options: MergeOptions,
  { reporter = silent, signal }: Partial<ExecuteContext> = {},
): Promise<MergeSummary> {
  const { out, baseFolder = ".", hub, likeMergekit = false } = options;
  const context: ExecuteContext = { reporter, ...(signal === undefined ? {} : { signal }) };
  const plan = await planMerge(config, { baseFolder, hub }, likeMergekit);
  for (const message of plan.warnings) reporter.report({ type: "warning", stage: STAGE, message });
  let finished: FinishedMerge | null;
  let kept = 0;
  const lock = await lockFolderToCome(out);
  try {
    finished = await findFinished(out, plan, likeMergekit);
    if (finished === null) kept = await build(plan, options, context);
  } finally {
    await lock.release();
  }
  if (finished !== null && finished.otherProgram !== null) {
    const message = computedOtherwise(`${out} was merged`, finished.otherProgram);
    context.reporter.report({ type: "warning", stage: STAGE, message });
  }
  const summary: MergeSummary = {
    out,
    method: plan.method.name,
    tensors: plan.tensors.length,
    parameters: plan.tensors.reduce((total, tensor) => total + outputEntries(tensor), 0),
    bytes_read: plan.bytesIn,
    bytes_written: plan.bytesOut,
    already_done: finished !== null,
    tensors_kept: kept,
  };
  context.reporter.report({ type: "end", stage: STAGE, summary: sentence(plan, summary), figures: { ...summary } });
  return summary;
}

/** Returns how many tensors were there already. */
async function build(
  plan: MergePlan,
  { out: given, likeMergekit = false, repair = false, shardBytes = SHARD_BYTES, threads }: MergeOptions,
  context: ExecuteContext,
): Promise<number> {
  const out = resolve(given);
  const entries = outputTensors(plan);
  const shards = planShards(entries, shardBytes);
  let folder: string;
  let hash: string;
  let unfinished: Unfinished;
  try {
    hash = await hashPlan(plan, { likeMergekit, repair }, shards);
    unfinished = await findUnfinished(out, hash, shards);
    await checkSpace(out, bytesLeft(shards, unfinished.finished));
    folder = await openUnfinished(out, unfinished);
  } catch (error) {
    throw fileError(given, error);
  }
  const { finished } = unfinished;
  try {
    const work = { folder, shards, finished, hash, likeMergekit, repair };
    const settings = threads === undefined ? work : { ...work, threads };
    const { reports, sha256 } = await executePlan(plan, settings, context);
    for (const message of [...repairsOf(plan, reports), ...tensorRemarks(plan, reports)])
      context.reporter.report({ type: "warning", stage: STAGE, message });
    await writeShardIndex(folder, entries, shards);
    await writeModelFiles(plan, folder, plan.config.out_dtype ?? plan.config.dtype ?? widest(plan));
    const record = recordOf(await identify(plan, likeMergekit, sha256), plan, reports);
    await writeJson(join(folder, RECORD_FILE), record);
    await writeFileAtomic(join(folder, "README.md"), modelCard(record, plan.method.paper));
    await removeRecords(folder, shards);
    await renameForGood(folder, out);
  } catch (error) {
    // An interrupted merge goes on from its finished tensors; what failed would fail again.
    const goesOn = context.signal?.aborted === true && (await hasRecords(folder, shards));
    if (!goesOn) await rm(folder, { recursive: true, force: true });
    throw fileError(given, error);
  }
  return countTensors(finished);
}

/** Bytes of the shards without their finished tensors. */
function bytesLeft(shards: readonly OutputShard[], finished: FinishedParts): number {
  let left = 0;
  for (const { file, bytes, lengths } of shards) {
    left += bytes;
    for (const place of finished.get(file)?.keys() ?? []) left -= lengths[place]!;
  }
  return left;
}

/** Without a dtype in the configuration the output has those of the inputs; the config names that of most weights. */
function widest({ tensors }: MergePlan): string {
  const entries = new Map<string, number>();
  for (const { output, size, copied } of tensors) {
    if (copied === undefined) entries.set(output, (entries.get(output) ?? 0) + size);
  }
  return [...entries].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "float32";
}

function sentence({ method, models, base }: MergePlan, summary: MergeSummary): string {
  if (summary.already_done) return `${summary.out} already holds this merge`;
  const count = `${models.length} model${models.length === 1 ? "" : "s"}`;
  const origin = base === undefined ? "" : ` on ${base.name}`;
  return `${method.name} of ${count}${origin}, ${summary.tensors} tensors, in ${summary.out}`;
}
