/**
 * What the embedded engine's work takes: memory from the programs that would run, within 15 % of what is measured
 * (`bench/training-memory.mjs`), time as operations over a rate that is measured, where it can be, or stated.
 */
import { internalError } from "../../errors.ts";
import type { Model } from "../../models/index.ts";
import { type Estimate, type EstimatedModel, lessonsBytes, type TrainingWork } from "../estimate.ts";
import { planBatches } from "./batches.ts";
import {
  type BatchShape,
  fullBatch,
  generationBytes,
  PROCESS_BYTES,
  positionBudget,
  type TrainingExtent,
  teacherBytes,
  trainingBytes,
} from "./memory.ts";
import { availableMemory } from "./memory-check.ts";
import type { Throughput } from "./throughput.ts";

export function estimateOnnx(throughput: Throughput, availableBytes: number): Estimate {
  return {
    processes: 1,
    availableBytes,
    memory: "memory",
    basis: throughput.basis,
    passes: (estimated, { extents, tokens }) => ({
      memoryBytes: teacherMemory(
        known(estimated),
        extents.reduce((longest, { length }) => Math.max(longest, length), 1),
      ),
      seconds: throughput.inferenceSeconds(estimated.sizes.parameters, tokens),
      workBytes: 0,
      advice: null,
    }),
    training: (estimated, work) => {
      const model = known(estimated);
      const { parameters } = model;
      const checkpointBytes = work.checkpoints === 0 ? 0 : 2 * STATE_BYTES * parameters;
      return {
        memoryBytes: trainingMemory(model, extentOf(model, work)) + work.dataBytes,
        seconds: throughput.trainingSeconds(parameters, work.epochs * work.tokens),
        workBytes: checkpointBytes + lessonsBytes(work),
        advice: null,
        microBatchTokens: positionBudget(model),
        checkpointBytes,
      };
    },
  };
}

function known({ model }: EstimatedModel): Model {
  if (model === null) throw internalError("the embedded engine is asked about an architecture that it does not have");
  return model;
}

/** Weights and two moments in float32. */
const STATE_BYTES = 12;

/** The micro-batches of the first steps. */
function extentOf(model: Model, { batches }: TrainingWork): TrainingExtent {
  const shapes = new Map<string, BatchShape>();
  let severalBatches = false;
  for (const batch of batches()) {
    const planned = planBatches(batch, positionBudget(model));
    severalBatches ||= planned.length > 1;
    for (const { size, length, rows } of planned)
      shapes.set(`${size}/${length}/${rows}`, { batch: size, length, rows });
  }
  if (shapes.size === 0) return { shapes: [fullBatch(1, 1)], severalBatches };
  return { shapes: [...shapes.values()], severalBatches };
}

/** The process that trains in micro-batches of these shapes. */
export function trainingMemory(model: Model, extent: TrainingExtent): number {
  return processBytes(model) + trainingBytes(model, extent);
}

/** The process that makes teacher passes over sequences of up to `length` tokens. */
export function teacherMemory(model: Model, length: number): number {
  return processBytes(model) + teacherBytes(model, length);
}

/** The process that generates one answer; prompt and answer have `length` tokens. */
export function generationMemory(model: Model, length: number): number {
  return processBytes(model) + generationBytes(model, length);
}

/** Bytes that the models of a server may take together: what this process can still have. */
export function servingBudget(): number {
  return availableMemory();
}

/** A process with a tokenizer, which takes about 1,100 bytes a token (203 MB for 151,665), and a template's thread. */
function processBytes({ config }: Model): number {
  return PROCESS_BYTES + 40e6 + 1100 * config.vocabularySize;
}
