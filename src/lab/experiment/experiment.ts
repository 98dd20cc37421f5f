/**
 * The papers' claims, and ours, tested where the truth is known: six models of the laboratory, several seeds (other
 * conversations and another order each), every model measured on the same held-out conversations as distance above the
 * entropy floor.
 */
import { join } from "node:path";
import type { Conversation } from "../../data/conversation.ts";
import type { StageContext } from "../../engine/context.ts";
import { inputError, internalError, throwIfInterrupted } from "../../errors.ts";
import { exists, readJson, writeFileAtomic, writeJson } from "../../formats/files.ts";
import { lockOwnFolder } from "../../formats/own-folder.ts";
import { drawConversations } from "../conversations.ts";
import { LAB_MODELS } from "../models/index.ts";
import { armsOf } from "./arms.ts";
import { claimsOf } from "./claims.ts";
import { type ExperimentResult, findings } from "./findings.ts";
import { type Measured, measureArm, measureGiven, type SeedSettings } from "./make.ts";
import { experimentPage } from "./page.ts";
import type { ExperimentSettings } from "./settings.ts";

export interface ExperimentOptions {
  readonly models: string;
  readonly out: string;
  readonly settings: ExperimentSettings;
}

const SETTINGS_FILE = "settings.json";
const ENTRIES: readonly string[] = [SETTINGS_FILE, "results", "experiment.json", "experiment.md"];

/**
 * Writes `experiment.json` and `experiment.md` into `out`, also after each seed but the first, with what there is. An interrupted experiment
 * goes on where it was; one with other settings is refused.
 */
export async function runExperiment(options: ExperimentOptions, context: StageContext): Promise<ExperimentResult> {
  const { out } = options;
  const isBegun = await exists(join(out, SETTINGS_FILE));
  const lock = await lockOwnFolder(out, (name) => isBegun && (ENTRIES.includes(name) || /^seed-\d+$/.test(name)));
  try {
    return await experimentInto(options, context);
  } finally {
    await lock.release();
  }
}

/** In a folder that nobody else writes to meanwhile. */
async function experimentInto(options: ExperimentOptions, context: StageContext): Promise<ExperimentResult> {
  const { out, settings, models } = options;
  await begin(join(out, SETTINGS_FILE), settings);
  const heldOut = drawConversations("held-out", settings.held_out);
  const pivot = LAB_MODELS.find(({ role }) => role === "pivot")!.name;
  const sources = LAB_MODELS.filter(({ role }) => role === "source").map(({ name }) => name);
  const arms = armsOf({ ...settings, sources });
  const forSeed = (seed: number): SeedSettings => ({ ...settings, seed, models, pivot, sources, heldOut, out });
  const stage = "lab experiment";
  const total = settings.seeds * arms.length;
  context.reporter.report({ type: "start", stage, total, unit: "models" });
  const given = new Map<string, Measured>();
  for (const name of [pivot, ...sources]) given.set(name, await measureGiven(name, forSeed(0), context));
  const bySeed: ReadonlyMap<string, Measured>[] = [];
  let result: ExperimentResult | undefined;
  let done = 0;
  for (let seed = 0; seed < settings.seeds; seed++) {
    const measured = new Map(given);
    for (const arm of arms) {
      throwIfInterrupted(context.signal, stage);
      measured.set(arm.name, await measureArm(arm, forSeed(seed), context));
      context.reporter.report({ type: "progress", stage, done: ++done, total, unit: "models" });
    }
    bySeed.push(measured);
    // One seed has no spread.
    if (seed > 0) result = await write({ settings, pivot, sources, bySeed, heldOut, out });
  }
  if (result === undefined) throw internalError("an experiment of one seed");
  context.reporter.report({ type: "end", stage, summary: `${result.claims.length} claims`, figures: {} });
  return result;
}

async function begin(path: string, settings: ExperimentSettings): Promise<void> {
  const wanted = JSON.stringify(settings);
  if (!(await exists(path))) await writeJson(path, settings);
  else if (JSON.stringify(await readJson(path)) !== wanted) {
    throw inputError(path, "belongs to an experiment with other settings; choose another folder or remove this one");
  }
}

async function write(made: {
  readonly settings: ExperimentSettings;
  readonly pivot: string;
  readonly sources: readonly string[];
  readonly bySeed: readonly ReadonlyMap<string, Measured>[];
  readonly heldOut: readonly Conversation[];
  readonly out: string;
}): Promise<ExperimentResult> {
  const { settings, pivot, sources, out } = made;
  const claims = claimsOf({ pivot, sources, most: Math.max(...settings.curve) });
  const result = findings({ ...made, claims });
  await writeJson(join(out, "experiment.json"), result);
  await writeFileAtomic(join(out, "experiment.md"), experimentPage(result));
  return result;
}
