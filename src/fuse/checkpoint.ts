/**
 * An unfinished target is its folder with `.checkpoint/` in it:
 *
 *     .checkpoint/fuse.json            what is being made (record.ts); written first
 *     .checkpoint/step-000020.state    weights, moments and step count, by the engine
 *     .checkpoint/checkpoint.json      {"step": 20}: names the state that counts; written last
 *
 * Schedule and data order are functions of the step (schedule.ts, shuffle.ts), so the step is all the rest there is to
 * keep. A kill between two writes leaves the former checkpoint in force. `fuse.json` in the folder itself, written
 * after everything else, is what says that the target is finished.
 */

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Trainer } from "../engine/engine.ts";
import { inputError } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { exists, fileError, isTemporary, readJson, writeJson } from "../formats/files.ts";
import { LOCK_FILE } from "../formats/lock.ts";
import { LOG_FILE, TIMING_FILE } from "./journal.ts";
import { checkSameTarget, RECORD_FILE, readRecord, type TargetRecord } from "./record.ts";

export const CHECKPOINT_FOLDER = ".checkpoint";
/** Where an engine that trains as a whole keeps its own checkpoints, below the target's folder. */
export const WORK_FOLDER: string = join(CHECKPOINT_FOLDER, "engine");
const POINTER_FILE = "checkpoint.json";

export interface FoundTarget {
  /** The record of a finished target. */
  readonly finished: (TargetRecord & Record<string, unknown>) | null;
  /** The record of a target that is begun or finished. */
  readonly begun: TargetRecord | null;
  /** The step count of the last checkpoint; 0 without one. */
  readonly step: number;
}

/** What a target's folder holds. Throws where that is another target, or files that are none of ours. */
export async function examineFolder(out: string, asked: TargetRecord): Promise<FoundTarget> {
  const finished = await readRecord(join(out, RECORD_FILE));
  if (finished !== null) {
    checkSameTarget(out, finished, asked);
    return { finished, begun: finished, step: 0 };
  }
  const begun = await readRecord(join(out, CHECKPOINT_FOLDER, RECORD_FILE));
  if (begun !== null) {
    checkSameTarget(out, begun, asked);
    return { finished: null, begun, step: await readStep(out) };
  }
  const within = (await list(join(out, CHECKPOINT_FOLDER))).map((name) => join(CHECKPOINT_FOLDER, name));
  const names = (await list(out)).filter((name) => name !== CHECKPOINT_FOLDER && name !== LOCK_FILE);
  const other = [...names, ...within].find((name) => !isTemporary(name));
  if (other !== undefined) {
    throw inputError(out, `exists and holds ${other}, but no target of this program; choose another folder`);
  }
  return { finished: null, begun: null, step: 0 };
}

/** Removes what a killed process left half-written of the target, whose last checkpoint is that of `step`. */
export async function removeLeftovers(out: string, step: number): Promise<void> {
  await removeMatching(out, (name) => isTemporary(name));
  const isOld = (name: string): boolean => isTemporary(name) || (isState(name) && name !== stateFile(step));
  await removeMatching(join(out, CHECKPOINT_FOLDER), isOld);
}

/** Marks the folder as an unfinished target. */
export async function beginTarget(out: string, record: TargetRecord): Promise<void> {
  await writeJson(join(out, CHECKPOINT_FOLDER, RECORD_FILE), record);
}

export async function saveCheckpoint(out: string, trainer: Trainer, step: number): Promise<void> {
  const folder = join(out, CHECKPOINT_FOLDER);
  await trainer.saveCheckpoint(join(folder, stateFile(step)));
  await writeJson(join(folder, POINTER_FILE), { step });
  await removeMatching(folder, (name) => isState(name) && name !== stateFile(step));
}

export async function loadCheckpoint(out: string, trainer: Trainer, step: number): Promise<void> {
  await trainer.loadCheckpoint(join(out, CHECKPOINT_FOLDER, stateFile(step)));
}

/** The target is finished: what only served to continue it goes. */
export async function removeCheckpoints(out: string): Promise<void> {
  await rm(join(out, CHECKPOINT_FOLDER), { recursive: true, force: true });
}

/**
 * After a failure: without a checkpoint there is nothing to continue, and the folder goes back to what it was. Only for
 * who holds the folder's lock and has begun the target.
 */
export async function abandonTarget(out: string): Promise<void> {
  for (const kept of [join(CHECKPOINT_FOLDER, POINTER_FILE), WORK_FOLDER]) if (await exists(join(out, kept))) return;
  await removeCheckpoints(out);
  await removeMatching(out, (name) => name === LOG_FILE || name === TIMING_FILE || isTemporary(name));
}

async function readStep(out: string): Promise<number> {
  const path = join(out, CHECKPOINT_FOLDER, POINTER_FILE);
  if (!(await exists(path))) return 0;
  const value = await readJson(path);
  const step = typeof value === "object" && value !== null && "step" in value ? value.step : undefined;
  if (typeof step !== "number" || !Number.isSafeInteger(step) || step < 1) {
    throw inputError(path, `expected {"step": n}, found ${excerptOf(value)}; remove ${out} to start anew`);
  }
  return step;
}

function stateFile(step: number): string {
  return `step-${String(step).padStart(6, "0")}.state`;
}

function isState(name: string): boolean {
  return name.startsWith("step-");
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (!(await exists(folder))) return [];
    throw fileError(folder, error);
  }
}

async function removeMatching(folder: string, matches: (name: string) => boolean): Promise<void> {
  for (const name of await list(folder)) if (matches(name)) await rm(join(folder, name), { force: true });
}
