/**
 * Makes the models of an experiment for one seed, and measures them. Everything lies in a folder of the seed and is found
 * again: distributions and alignments are shared by all arms that ask for the same, a finished training or merge is
 * recognised, and what was measured is not measured again. A kill loses what stands since the last checkpoint.
 *
 *     seed-0/distributions/top-10 of 2400/lab-llama/       seed-0/models/fused/
 *     seed-0/aligned/top-10 of 2400/split/lab-llama/       seed-0/results/fused.json
 */
import { join } from "node:path";
import { z } from "zod";
import { alignDistributions } from "../../align/align.ts";
import { recommendedTransfer } from "../../align/recommended.ts";
import { DEFAULT_WITHIN } from "../../align/within/within.ts";
import type { Conversation } from "../../data/conversation.ts";
import { collectDistributions } from "../../distributions/collect.ts";
import type { StageContext } from "../../engine/context.ts";
import { evaluateHeldOut } from "../../evaluate/benchmarks/held-out.ts";
import { readChecked } from "../../formats/checked-json.ts";
import { exists, writeJson } from "../../formats/files.ts";
import { fuseTarget } from "../../fuse/fuse.ts";
import { FUSION_DEFAULTS, TRAINING_DEFAULTS } from "../../fuse/options.ts";
import { mergeModels } from "../../merge/merge.ts";
import { drawConversations } from "../conversations.ts";
import { MAX_LENGTH } from "../demo-recipe.ts";
import type { Arm, MergeArm, StoredRows, TrainingArm } from "./arms.ts";

/** What a model needs for each held-out conversation. */
export interface Measured {
  readonly model: string;
  /** [conversations] */
  readonly nats: readonly number[];
  /** [conversations] */
  readonly bytes: readonly number[];
}

export interface SeedSettings {
  readonly seed: number;
  /** Folder with the laboratory's models, and the pivot's and the sources' names in it. */
  readonly models: string;
  readonly pivot: string;
  readonly sources: readonly string[];
  readonly heldOut: readonly Conversation[];
  /** Of the whole experiment. */
  readonly out: string;
}

/** The model of an arm, made where it is not there yet, and what it needs on the held-out conversations. */
export async function measureArm(arm: Arm, settings: SeedSettings, context: StageContext): Promise<Measured> {
  const path = join(folderOf(settings), "results", `${arm.name}.json`);
  if (await exists(path)) return readMeasured(path, settings);
  const model = await (arm.kind === "merge" ? merged(arm, settings, context) : trained(arm, settings, context));
  return measure(model, path, arm.name, settings, context);
}

/** A given model on the held-out conversations; no seed has a part in it. */
export async function measureGiven(name: string, settings: SeedSettings, context: StageContext): Promise<Measured> {
  const path = join(settings.out, "results", `${name}.json`);
  if (await exists(path)) return readMeasured(path, settings);
  return measure(join(settings.models, name), path, name, settings, context);
}

async function readMeasured(path: string, { heldOut }: SeedSettings): Promise<Measured> {
  const figures = z.array(z.number()).length(heldOut.length);
  return readChecked(
    path,
    z.object({ model: z.string(), nats: figures, bytes: figures }),
    "what was measured of a model",
  );
}

async function measure(
  model: string,
  path: string,
  name: string,
  { heldOut: conversations }: SeedSettings,
  context: StageContext,
): Promise<Measured> {
  const { per_conversation: read } = await evaluateHeldOut(
    { model, conversations, maxLength: MAX_LENGTH, name },
    context,
  );
  const measured = { model: name, nats: read.map(({ nats }) => nats), bytes: read.map(({ bytes }) => bytes) };
  await writeJson(path, measured);
  return measured;
}

async function trained(arm: TrainingArm, settings: SeedSettings, context: StageContext): Promise<string> {
  const { seed, models, pivot } = settings;
  const out = modelFolder(arm.name, settings);
  const conversations = conversationsOf(arm, seed);
  const { function: name, level, lambda, tail, unshared, emphasis, evenShare, lr, epochs, batch } = arm;
  const common = {
    ...{ ...FUSION_DEFAULTS, ...TRAINING_DEFAULTS, model: join(models, pivot), conversations, out },
    ...{
      function: name,
      level,
      lambda,
      tail,
      unshared,
      emphasis,
      evenShare,
      lr,
      epochs,
      batch,
      seed: 100 * seed + arm.shuffle,
    },
  };
  if (arm.sources === "none") {
    await fuseTarget({ ...common, maxLength: MAX_LENGTH }, context);
    return out;
  }
  const sources = arm.sources === "all" ? settings.sources : [arm.sources.only];
  const own = await distributionsOf(pivot, arm, conversations, settings, context);
  const theirs: string[] = [];
  const aligned: string[] = [];
  for (const source of sources) {
    theirs.push(await distributionsOf(source, arm, conversations, settings, context));
    aligned.push(await alignedOf(source, arm, { own, its: theirs.at(-1)! }, settings, context));
  }
  await fuseTarget({ ...common, pivot: own, aligned, ...(level === "row" && { source: theirs }) }, context);
  return out;
}

/** Of the seed's own draw, from its beginning; without the skills' names where groups are to be made of the prompts. */
function conversationsOf({ conversations: count, groups }: TrainingArm, seed: number): readonly Conversation[] {
  const drawn = drawConversations(`experiment/${seed}`, count);
  return groups === "labels" ? drawn : drawn.map(({ skill: _, ...unlabelled }) => unlabelled);
}

async function distributionsOf(
  model: string,
  arm: TrainingArm,
  conversations: readonly Conversation[],
  settings: SeedSettings,
  context: StageContext,
): Promise<string> {
  const out = join(folderOf(settings), "distributions", storedName(arm), model);
  await collectDistributions(
    {
      ...{ model: join(settings.models, model), conversations, out, maxLength: MAX_LENGTH, template: "native" },
      ...{ ...arm.rows, seed: settings.seed },
    },
    context,
  );
  return out;
}

async function alignedOf(
  source: string,
  arm: TrainingArm,
  { own, its }: { readonly own: string; readonly its: string },
  settings: SeedSettings,
  context: StageContext,
): Promise<string> {
  const { vocabulary, within } = arm;
  const rule = within === DEFAULT_WITHIN ? vocabulary : `${vocabulary} within`;
  const out = join(folderOf(settings), "aligned", storedName(arm), rule, source);
  const rules = { vocabulary, sequence: "bytes", ...recommendedTransfer(vocabulary), within };
  await alignDistributions({ pivot: own, source: its, out, ...rules }, context);
  return out;
}

async function merged(arm: MergeArm, settings: SeedSettings, context: StageContext): Promise<string> {
  const out = modelFolder(arm.name, settings);
  const config = {
    merge_method: arm.method,
    models: arm.of.map((name) => ({ model: modelFolder(name, settings) })),
    base_model: join(settings.models, settings.pivot),
    parameters: arm.parameters,
    dtype: "float32",
  } as const;
  await mergeModels(config, { out, baseFolder: settings.out }, context);
  return out;
}

function folderOf({ out, seed }: SeedSettings): string {
  return join(out, `seed-${seed}`);
}

function modelFolder(name: string, settings: SeedSettings): string {
  return join(folderOf(settings), "models", name);
}

function storedName({ rows, conversations }: TrainingArm): string {
  return `${rowsName(rows)} of ${conversations}`;
}

function rowsName({ topK, rows }: StoredRows): string {
  return `${rows}-${topK}`;
}
