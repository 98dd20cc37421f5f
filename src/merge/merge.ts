/**
 * The merge stage: plan, execute, and describe the result in a Hugging Face folder. The folder is built under another
 * name and renamed when it is whole, so that an output folder is either absent or finished.
 */
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { fileError, readJson, writeFileAtomic, writeJson } from "../formats/files.ts";
import { isRecord } from "./complaints.ts";
import type { MergeConfig } from "./config.ts";
import { type ExecuteContext, executePlan } from "./execute.ts";
import { writeModelFiles } from "./model-files.ts";
import { type MergePlan, outputEntries, planMerge } from "./plan.ts";
import { identify, modelCard, RECORD_FILE, recordOf, sameIdentity } from "./record.ts";

export interface MergeOptions {
  /** The model folder to make. */
  readonly out: string;
  /** Relative model paths are looked up here first, then from the current folder. */
  readonly baseFolder: string;
  /** Repeats known defects of mergekit. */
  readonly likeMergekit?: boolean;
  /** Largest output file in bytes; 5 GB where absent. */
  readonly shardBytes?: number;
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
}

const STAGE = "merge";

/** Merges models into a new folder. Errors name the model, the tensor and what was expected; nothing is left behind. */
export async function mergeModels(
  config: MergeConfig,
  options: MergeOptions,
  context: ExecuteContext,
): Promise<MergeSummary> {
  const { out, baseFolder, likeMergekit = false } = options;
  const plan = await planMerge(config, baseFolder, likeMergekit);
  for (const message of plan.warnings) context.reporter.report({ type: "warning", stage: STAGE, message });
  const finished = await isFinished(out, plan, likeMergekit);
  if (!finished) await build(plan, options, context);
  const summary: MergeSummary = {
    out,
    method: plan.method.name,
    tensors: plan.tensors.length,
    parameters: plan.tensors.reduce((total, tensor) => total + outputEntries(tensor), 0),
    bytes_read: plan.bytesIn,
    bytes_written: plan.bytesOut,
    already_done: finished,
  };
  context.reporter.report({ type: "end", stage: STAGE, summary: sentence(plan, summary), figures: { ...summary } });
  return summary;
}

/** True where `out` holds this very merge; throws where it holds anything else. */
async function isFinished(out: string, plan: MergePlan, likeMergekit: boolean): Promise<boolean> {
  let names: string[];
  try {
    names = await readdir(out);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw fileError(out, error);
  }
  if (names.length === 0) return false;
  const record: unknown = names.includes(RECORD_FILE) ? await readJson(join(out, RECORD_FILE)) : undefined;
  const identity = await identify(plan, likeMergekit);
  if (isRecord(record) && sameIdentity(identity, pick(record, Object.keys(identity)))) return true;
  const what = record === undefined ? "other files" : "another merge";
  throw inputError(out, `the folder exists and holds ${what}; choose another one or remove it`);
}

async function build(
  plan: MergePlan,
  { out, likeMergekit = false, shardBytes }: MergeOptions,
  context: ExecuteContext,
): Promise<void> {
  const folder = `${resolve(out)}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(folder), { recursive: true });
    await removeAbandoned(resolve(out));
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw fileError(out, error);
  }
  try {
    const hashing = identify(plan, likeMergekit);
    hashing.catch(() => {});
    const settings = { likeMergekit, ...(shardBytes !== undefined && { shardBytes }) };
    const coefficients = await executePlan(plan, folder, settings, context);
    await writeModelFiles(plan, folder, plan.config.out_dtype ?? plan.config.dtype ?? widest(plan));
    const record = recordOf(await hashing, plan, coefficients);
    await writeJson(join(folder, RECORD_FILE), record);
    await writeFileAtomic(join(folder, "README.md"), modelCard(record, plan.method.paper));
    await rename(folder, resolve(out));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw fileError(out, error);
  }
}

/** Takes away what merges into `out` left behind when their process was killed; those of living processes stay. */
async function removeAbandoned(out: string): Promise<void> {
  const prefix = `${basename(out)}.`;
  for (const name of await readdir(dirname(out))) {
    const pid = name.startsWith(prefix) ? /^(\d+)\.tmp$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid === undefined || (isAlive(Number(pid)) && Number(pid) !== process.pid)) continue;
    await rm(join(dirname(out), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Without a dtype in the configuration the output has those of the inputs; the config names that of most weights. */
function widest({ tensors }: MergePlan): string {
  const entries = new Map<string, number>();
  for (const { output, size } of tensors) entries.set(output, (entries.get(output) ?? 0) + size);
  return [...entries].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "float32";
}

function pick(record: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, record[key]]));
}

function sentence({ method, models, base }: MergePlan, summary: MergeSummary): string {
  if (summary.already_done) return `${summary.out} already holds this merge`;
  const count = `${models.length} model${models.length === 1 ? "" : "s"}`;
  const origin = base === undefined ? "" : ` on ${base.name}`;
  return `${method.name} of ${count}${origin}, ${summary.tensors} tensors, in ${summary.out}`;
}
