/**
 * The optimiser steps of one target: batch by batch through the engine, a log line each, checkpoints at steps that
 * follow from the step count alone. Loss = lambda * label + (1 - lambda) * fusion, means over the rows of a whole step
 * (FuseChat, section 3.2); without a source the loss is the label loss.
 */
import { join } from "node:path";
import type { StageContext } from "../engine/context.ts";
import {
  ADAMW,
  type Engine,
  type StepResult,
  type Trainer,
  type TrainSequence,
  type TrainStep,
} from "../engine/engine.ts";
import { FusechatError, failure, internalError, throwIfInterrupted } from "../errors.ts";
import { loadCheckpoint, saveCheckpoint, WORK_FOLDER } from "./checkpoint.ts";
import { type LogLine, openJournal } from "./journal.ts";
import type { Lessons } from "./lessons.ts";
import type { FuseOptions } from "./options.ts";
import { checkpointInterval, learningRate } from "./schedule.ts";
import { batches } from "./shuffle.ts";

export interface TrainingPlan {
  readonly stage: string;
  readonly options: FuseOptions;
  readonly lessons: Lessons;
  /** [conversations] how often each comes up in an epoch, 1 in the mean; null: once each. */
  readonly weights: Float64Array | null;
  /** 1 without a source. */
  readonly lambda: number;
  /** T, all optimiser steps. */
  readonly total: number;
  /** Steps that the last checkpoint has done; 0 without one. */
  readonly done: number;
}

/**
 * Trains to the end and writes the weights into the target's folder. Returns all log lines, those before an
 * interruption included. Where a step fails, the last checkpoint stays.
 */
export async function train(plan: TrainingPlan, context: StageContext): Promise<LogLine[]> {
  const { options } = plan;
  if (context.engine.trainWhole !== undefined) return trainAtOnce(plan, context.engine.trainWhole, context);
  const trainer = await context.engine.train(options.model, { ...ADAMW, weightDecay: options.weightDecay });
  try {
    if (plan.done > 0) await loadCheckpoint(options.out, trainer, plan.done);
    const lines = await runSteps(plan, trainer, context);
    await trainer.saveWeights(options.out, options.dtype);
    return lines;
  } finally {
    await trainer.dispose();
  }
}

/** For an engine that takes the whole training: it keeps its own checkpoints, and the journal is written at the end. */
async function trainAtOnce(
  { stage, options, lessons, weights, lambda, total }: TrainingPlan,
  trainWhole: NonNullable<Engine["trainWhole"]>,
  { reporter, signal }: StageContext,
): Promise<LogLine[]> {
  const batchOf = batches(lessons.coverage.conversations, options.batch, options.seed, options.shuffle, weights);
  const rates = Array.from({ length: total }, (_, step) => learningRate(options.lr, step, total, options.warmupRatio));
  const seconds: number[] = [];
  const results = await trainWhole(
    {
      model: options.model,
      options: { ...ADAMW, weightDecay: options.weightDecay },
      lambda,
      count: lessons.coverage.conversations,
      read: (place) => lessons.read(place),
      steps: rates.map((rate, step) => ({ batch: batchOf(step), learningRate: rate })),
      checkpointSteps: options.checkpointSteps ?? checkpointInterval(total),
      dtype: options.dtype,
      lora: options.lora === undefined ? null : { ...options.lora, seed: options.seed },
      work: join(options.out, WORK_FOLDER),
      out: options.out,
    },
    {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (done, result) => {
        if (result !== undefined) seconds[done - 1] = result.seconds;
        const loss = result === undefined ? {} : { loss: lossOf(result, lambda) };
        reporter.report({ type: "progress", stage, done, total, unit: "steps", ...loss });
      },
    },
  );
  const lines = results.map((result, step) => logLine(step, result, lambda, rates[step]!));
  const { journal } = await openJournal(options.out, 0);
  try {
    for (const line of lines) await journal.append(line, seconds[line.step] ?? 0);
    await journal.sync();
  } finally {
    await journal.close();
  }
  return lines;
}

function lossOf({ labelLoss, fusionLoss }: StepResult, lambda: number): number {
  return lambda * labelLoss + (1 - lambda) * fusionLoss;
}

function logLine(step: number, result: StepResult, lambda: number, rate: number): LogLine {
  return {
    step,
    loss: lossOf(result, lambda),
    label_loss: result.labelLoss,
    fusion_loss: result.fusionLoss,
    lr: rate,
    grad_norm: result.gradientNorm,
    rows: result.rows,
  };
}

async function runSteps(plan: TrainingPlan, trainer: Trainer, context: StageContext): Promise<LogLine[]> {
  const { options, stage, total } = plan;
  const { journal, kept } = await openJournal(options.out, plan.done);
  const lines = [...kept];
  try {
    const interval = options.checkpointSteps ?? checkpointInterval(total);
    const sequencesOf = readAhead(plan, total);
    for (let step = plan.done; step < total; step++) {
      const started = performance.now();
      const line = await trainStep(plan, trainer, step, await sequencesOf(step));
      await journal.append(line, (performance.now() - started) / 1000);
      lines.push(line);
      const done = step + 1;
      context.reporter.report({ type: "progress", stage, done, total, unit: "steps", loss: line.loss });
      // Ctrl-C saves the step in hand, too: where a checkpoint is taken never shows in the result.
      if (done < total && (done % interval === 0 || context.signal?.aborted === true)) {
        await journal.sync();
        await saveCheckpoint(options.out, trainer, done);
        throwIfInterrupted(context.signal, stage);
      }
    }
    await journal.sync();
    return lines;
  } finally {
    await journal.close();
  }
}

/** The sequences of a step's batch. Those of the next one are read while the engine is busy with the step. */
function readAhead(
  { lessons, options, weights }: TrainingPlan,
  total: number,
): (step: number) => Promise<readonly TrainSequence[]> {
  const { batch, seed, shuffle } = options;
  const batchOf = batches(lessons.coverage.conversations, batch, seed, shuffle, weights);
  const read = async (step: number): Promise<readonly TrainSequence[]> => {
    const found = await Promise.all(batchOf(step).map((place) => lessons.read(place)));
    // A conversation cut before its first response has nothing to learn from.
    return found.filter((sequence) => sequence !== null);
  };
  let ahead: { readonly step: number; readonly sequences: Promise<readonly TrainSequence[]> } | undefined;
  return async (step) => {
    const sequences = await (ahead?.step === step ? ahead.sequences : read(step));
    if (step + 1 < total) {
      ahead = { step: step + 1, sequences: read(step + 1) };
      // Told when its step comes, if it comes.
      ahead.sequences.catch(() => {});
    }
    return sequences;
  };
}

async function trainStep(
  plan: TrainingPlan,
  trainer: Trainer,
  step: number,
  sequences: readonly TrainSequence[],
): Promise<LogLine> {
  const { options, lambda } = plan;
  const rate = learningRate(options.lr, step, plan.total, options.warmupRatio);
  const rows = sequences.reduce((sum, { positions }) => sum + positions.length, 0);
  const result = await runStep(plan, trainer, step, { sequences, lambda, learningRate: rate });
  if (result.rows !== rows) throw internalError(`the engine trained on ${result.rows} rows where ${rows} were given`);
  const loss = lossOf(result, lambda);
  if (!Number.isFinite(loss) || !Number.isFinite(result.gradientNorm)) {
    throw failure(
      options.out,
      `training diverged at step ${step} of ${plan.total}: loss ${loss}, gradient norm ${result.gradientNorm}; ` +
        `lower the learning rate (${options.lr}) or look for broken weights`,
    );
  }
  return logLine(step, result, lambda, rate);
}

/** A batch without a single row moves nothing, and does not count as a step of the optimiser either. */
async function runStep(plan: TrainingPlan, trainer: Trainer, step: number, batch: TrainStep): Promise<StepResult> {
  if (batch.sequences.length === 0) return { rows: 0, labelLoss: 0, fusionLoss: 0, gradientNorm: 0 };
  try {
    return await trainer.step(batch);
  } catch (error) {
    if (!(error instanceof FusechatError) || error.code !== "failed") throw error;
    throw failure(plan.options.out, `step ${step} of ${plan.total} failed: ${error.message}`, error);
  }
}
