/**
 * Whether an output folder is free, or holds the merge already, weights and all; what holds anything else is never
 * written to.
 */
import { readdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { fileError, readJson, sha256OfRange } from "../formats/files.ts";
import { openWeights } from "../formats/weights.ts";
import { otherProgram } from "../version.ts";
import { isRecord } from "./complaints.ts";
import { type MergePlan, outputTensors } from "./plan.ts";
import { identify, RECORD_FILE, sameIdentity } from "./record.ts";

export interface FinishedMerge {
  /** Who merged it, where this program would merge otherwise; else null. */
  readonly otherProgram: string | null;
}

/**
 * The merge where `out` holds this very one, which takes the hashes of all inputs and of the output; null where `out` is
 * free. Throws where it holds anything else, and where the weights are not those that were merged.
 */
export async function findFinished(out: string, plan: MergePlan, likeMergekit: boolean): Promise<FinishedMerge | null> {
  let names: string[];
  try {
    names = await readdir(out);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw fileError(out, error);
  }
  if (names.length === 0) {
    // The finished folder takes the place of an empty one.
    if ((await stat(out)).dev === (await stat(dirname(resolve(out)))).dev) return null;
    throw inputError(out, "is a mount point, which no finished folder can replace; name a folder within it");
  }
  const record: unknown = names.includes(RECORD_FILE) ? await readJson(join(out, RECORD_FILE)) : undefined;
  const identity = await identify(plan, likeMergekit);
  if (!isRecord(record) || !sameIdentity(identity, pick(record, Object.keys(identity)))) {
    const what = record === undefined ? "other files" : "another merge";
    throw inputError(out, `the folder exists and holds ${what}; choose another one or remove it`);
  }
  const problem = await weightsProblem(out, plan, record.tensors);
  if (problem !== null) {
    throw inputError(out, `holds this merge, but ${problem}; remove the folder to merge again, or choose another one`);
  }
  return { otherProgram: otherProgram(record.program, "merge") };
}

function pick(record: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, record[key]]));
}

/** What is wrong with the weights of a finished merge; null where every byte is as it was written. */
async function weightsProblem(out: string, plan: MergePlan, records: unknown): Promise<string | null> {
  const hashes = new Map<unknown, unknown>(
    (Array.isArray(records) ? records.filter(isRecord) : []).map(({ name, sha256 }) => [name, sha256]),
  );
  const { tensors } = await openWeights(out);
  for (const { name, dtype, shape } of outputTensors(plan)) {
    const tensor = JSON.stringify(name);
    const found = tensors.get(name);
    if (found === undefined) return `its weights are without ${tensor}`;
    const isSame = found.dtype === dtype && found.shape.join() === shape.join();
    if (isSame && (await sha256OfRange(found.file, found.offset, found.byteLength)) === hashes.get(name)) continue;
    return `its weights have changed since: ${tensor} is not what was written`;
  }
  return null;
}
