/**
 * Trains a laboratory model from its seeded random start to a complete model folder. Every step draws its
 * conversations from a stream named after the step, so there is no data to keep and no cursor to restore:
 *
 *     <out>/<model>/.training/settings.json       what is being trained; another setting is refused
 *     <out>/<model>/.training/start/              the folder with the random weights
 *     <out>/<model>/.training/step-000500.state   weights, moments and step count; the newest counts
 *     <out>/<model>/training.json                 written last: the model is finished
 *
 * A killed training continues from its newest state and ends with the same bytes.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type ConversationTokeniser, openConversationTokeniser } from "../data/tokenise.ts";
import type { StageContext } from "../engine/context.ts";
import { ADAMW, type Trainer, type TrainSequence } from "../engine/engine.ts";
import { failure, inputError, internalError, throwIfInterrupted } from "../errors.ts";
import { readChecked } from "../formats/checked-json.ts";
import { exists, writeFileAtomic, writeJson } from "../formats/files.ts";
import { lockOwnFolder } from "../formats/own-folder.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import { learningRate } from "../fuse/schedule.ts";
import { openModel } from "../models/index.ts";
import { drawConversations } from "./conversations.ts";
import { initialWeights } from "./initial-weights.ts";
import { modelCard } from "./model-card.ts";
import { writeModelFiles } from "./model-folder.ts";
import type { LabModel } from "./models/index.ts";

export interface LabTrainOptions {
  readonly out: string;
  /** Optimiser steps; the model's own number where absent. */
  readonly steps?: number;
  /** Conversations a step. */
  readonly batch?: number;
  readonly checkpointSteps?: number;
}

export interface LabTrainSummary {
  readonly model: string;
  readonly folder: string;
  readonly steps: number;
  /** Response tokens trained on, and the mean loss of the last tenth of all steps, nats per token. */
  readonly rows: number;
  readonly lastLoss: number;
  /** True where it was finished already. */
  readonly skipped: boolean;
}

/** Everything that decides the result; a function of options and model alone. */
interface Settings {
  readonly model: LabModel;
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly warmupRatio: number;
}

interface Progress {
  /** Sums over the steps so far. */
  readonly rows: number;
  /** Mean loss of the steps in the last tenth so far, and how many. */
  readonly tailLoss: number;
  readonly tailSteps: number;
}

const count = z.number().int().nonnegative();
const progressRecord: z.ZodType<Progress> = z.object({ rows: count, tailLoss: z.number(), tailSteps: count });
/** Compared key by key with what is asked for now. */
const settingsRecord = z.record(z.string(), z.unknown());
const trainingRecord = z.object({ settings: settingsRecord, steps: count, rows: count, lastLoss: z.number() });

export const LAB_TRAIN_DEFAULTS = { batch: 64, checkpointSteps: 100 } as const;

/** One of the two is in the folder of every training. */
const WORK_FOLDER = ".training";
const FINISHED_FILE = "training.json";

const LEARNING_RATE = 3e-3;
const WARMUP_RATIO = 0.03;

export async function trainLabModel(
  model: LabModel,
  options: LabTrainOptions,
  context: StageContext,
): Promise<LabTrainSummary> {
  const folder = join(options.out, model.name);
  const isBegun = (await exists(join(folder, WORK_FOLDER))) || (await exists(join(folder, FINISHED_FILE)));
  const lock = await lockOwnFolder(folder, () => isBegun);
  try {
    return await trainInto(folder, model, options, context);
  } finally {
    await lock.release();
  }
}

/** In a folder that nobody else writes to meanwhile. */
async function trainInto(
  folder: string,
  model: LabModel,
  options: LabTrainOptions,
  context: StageContext,
): Promise<LabTrainSummary> {
  const work = join(folder, WORK_FOLDER);
  const settings: Settings = {
    model,
    steps: options.steps ?? model.trainingSteps,
    batch: options.batch ?? LAB_TRAIN_DEFAULTS.batch,
    learningRate: LEARNING_RATE,
    warmupRatio: WARMUP_RATIO,
  };
  const finished = join(folder, FINISHED_FILE);
  if (await exists(finished)) {
    const record = await readChecked(finished, trainingRecord, "the record of a training");
    checkSettings(finished, record.settings, settings);
    return {
      model: model.name,
      folder,
      steps: record.steps,
      rows: record.rows,
      lastLoss: record.lastLoss,
      skipped: true,
    };
  }
  await beginTraining(work, settings);
  const stage = `lab train ${model.name}`;
  context.reporter.report({ type: "start", stage, total: settings.steps, unit: "steps" });
  const start = join(work, "start");
  const trainer = await context.engine.train(start, ADAMW);
  const tokeniser = await openConversationTokeniser(start, {
    maxLength: model.config.max_position_embeddings as number,
  });
  try {
    const progress = await runSteps(settings, work, options.checkpointSteps ?? LAB_TRAIN_DEFAULTS.checkpointSteps, {
      trainer,
      tokeniser,
      stage,
      context,
    });
    await writeModelFiles(model, folder);
    await trainer.saveWeights(folder, model.dtype);
    const figures = { steps: settings.steps, rows: progress.rows, lastLoss: progress.tailLoss };
    await writeFileAtomic(join(folder, "README.md"), modelCard(model, figures));
    await writeJson(finished, { settings, ...figures });
    await rm(work, { recursive: true, force: true });
    context.reporter.report({
      type: "end",
      stage,
      summary: `${settings.steps} steps, ${progress.rows} response tokens, loss ${progress.tailLoss.toFixed(4)} nats per token at the end`,
      figures,
    });
    return { model: model.name, folder, ...figures, skipped: false };
  } finally {
    await tokeniser.dispose();
    await trainer.dispose();
  }
}

/** Writes the settings and the random start, or checks that those found are the same. */
async function beginTraining(work: string, settings: Settings): Promise<void> {
  const path = join(work, "settings.json");
  if (await exists(path)) {
    checkSettings(path, await readChecked(path, settingsRecord, "the settings of a training"), settings);
    return;
  }
  const start = join(work, "start");
  await writeModelFiles(settings.model, start);
  const deviation = settings.model.config.initializer_range as number;
  const { shapes } = await openModel(start);
  await writeSafetensors(join(start, "model.safetensors"), initialWeights(shapes, deviation, settings.model.name));
  await writeJson(path, settings);
}

function checkSettings(path: string, before: Readonly<Record<string, unknown>>, asked: Settings): void {
  const written = JSON.parse(JSON.stringify(asked)) as Record<string, unknown>;
  for (const [key, value] of Object.entries(written)) {
    if (JSON.stringify(before[key]) !== JSON.stringify(value)) {
      throw inputError(path, `belongs to a training with another "${key}"; choose another folder or remove this one`);
    }
  }
}

interface Training {
  readonly trainer: Trainer;
  readonly tokeniser: ConversationTokeniser;
  readonly stage: string;
  readonly context: StageContext;
}

async function runSteps(
  settings: Settings,
  work: string,
  checkpointSteps: number,
  { trainer, tokeniser, stage, context }: Training,
): Promise<Progress> {
  const done = await newestState(work);
  let progress: Progress = { rows: 0, tailLoss: 0, tailSteps: 0 };
  if (done > 0) {
    await trainer.loadCheckpoint(join(work, stateFile(done)));
    progress = await readChecked(join(work, progressFile(done)), progressRecord, "the progress of a training");
  }
  let sequences = await stepSequences(settings, done, tokeniser);
  for (let step = done; step < settings.steps; step++) {
    const rate = learningRate(settings.learningRate, step, settings.steps, settings.warmupRatio);
    // The engine computes in a thread of its own: the next batch is drawn and tokenised meanwhile.
    const [{ rows, labelLoss }, upcoming] = await Promise.all([
      trainer.step({ sequences, lambda: 1, learningRate: rate }),
      step + 1 < settings.steps ? stepSequences(settings, step + 1, tokeniser) : [],
    ]);
    sequences = upcoming;
    if (!Number.isFinite(labelLoss)) throw failure(work, `training diverged at step ${step} of ${settings.steps}`);
    progress = advance(progress, rows, labelLoss, step >= 0.9 * settings.steps);
    context.reporter.report({
      type: "progress",
      stage,
      done: step + 1,
      total: settings.steps,
      unit: "steps",
      loss: labelLoss,
    });
    const interrupted = context.signal?.aborted === true;
    if (step + 1 < settings.steps && ((step + 1) % checkpointSteps === 0 || interrupted)) {
      await saveState(work, trainer, step + 1, progress);
      throwIfInterrupted(context.signal, stage);
    }
  }
  return progress;
}

function advance(progress: Progress, rows: number, loss: number, tail: boolean): Progress {
  const tailSteps = progress.tailSteps + (tail ? 1 : 0);
  const tailLoss = tail ? progress.tailLoss + (loss - progress.tailLoss) / tailSteps : progress.tailLoss;
  return { rows: progress.rows + rows, tailLoss, tailSteps };
}

/** The conversations of a step in the model's own template and tokens; all response tokens are rows. */
async function stepSequences(
  { model, batch }: Settings,
  step: number,
  tokeniser: ConversationTokeniser,
): Promise<TrainSequence[]> {
  const conversations = drawConversations(`train/${model.name}/step ${step}`, batch, model.mixture);
  const tokenised = await tokeniser.tokenise(conversations, 0);
  return tokenised.map((conversation) => {
    if ("refused" in conversation) throw internalError(`${model.name}: ${conversation.refused}`);
    const { position } = conversation.rows;
    return {
      ids: conversation.ids,
      positions: position,
      // No teacher: one empty place a row.
      targetId: new Int32Array(position.length),
      targetProbability: new Float32Array(position.length),
      tailProbability: null,
    };
  });
}

/** The progress goes first: a state without one never counts, because the state's name is what is looked for. */
async function saveState(work: string, trainer: Trainer, step: number, progress: Progress): Promise<void> {
  await writeJson(join(work, progressFile(step)), progress);
  await trainer.saveCheckpoint(join(work, stateFile(step)));
  for (const name of await readdir(work)) {
    const older = /^step-(\d+)\.(?:state|json)$/.exec(name);
    if (older !== null && Number(older[1]) !== step) await rm(join(work, name), { force: true });
  }
}

/** Step count of the newest saved state, 0 without one. */
async function newestState(work: string): Promise<number> {
  const steps = (await readdir(work)).map((name) => Number(/^step-(\d+)\.state$/.exec(name)?.[1] ?? 0));
  return Math.max(0, ...steps);
}

function stateFile(step: number): string {
  return `step-${String(step).padStart(6, "0")}.state`;
}

function progressFile(step: number): string {
  return `step-${String(step).padStart(6, "0")}.json`;
}
