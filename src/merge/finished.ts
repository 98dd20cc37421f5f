/** Whether an output folder is free, or holds the merge already; what holds anything else is never written to. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { fileError, readJson } from "../formats/files.ts";
import { isRecord } from "./complaints.ts";
import type { MergePlan } from "./plan.ts";
import { identify, RECORD_FILE, sameIdentity } from "./record.ts";

/** True where `out` holds this very merge, which takes the hashes of all inputs; throws where it holds anything else. */
export async function isFinished(out: string, plan: MergePlan, likeMergekit: boolean): Promise<boolean> {
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

function pick(record: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, record[key]]));
}
