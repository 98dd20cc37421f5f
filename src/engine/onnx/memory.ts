/**
 * What the engine's work takes in memory, from a model's config alone: its weights and what is kept for each of them,
 * and the worst moment of the largest program (`graph/memory.ts`). Figures leave out what the process has taken
 * already (`PROCESS_BYTES`).
 */
import type { Model } from "../../models/index.ts";
import { lengthBucket } from "./batches.ts";
import { POSITION_BUDGET as TEACHER_POSITIONS } from "./inference.ts";
import { positionBytes } from "./key-value-cache.ts";
import { type Placement, placementOf } from "./placement.ts";
import { decodeProgram } from "./programs/decode.ts";
import { layerProgram } from "./programs/layer.ts";
import { rowsProgram } from "./programs/rows.ts";
import { trainingProgram } from "./programs/training.ts";
import { PASS_POSITIONS } from "./streamed-inference.ts";
import { windowBytes } from "./streamed-weights.ts";

/** Node, ONNX Runtime, sessions and what waits for the collector: 130 to 170 MB in processes that work on small models. */
export const PROCESS_BYTES = 150e6;

/** Weight, two moments and gradient in single precision. */
const STATE_BYTES = 16;
const FLOAT_BYTES = 4;

/** Beyond this many positions matrices gain no speed, and activations only take memory. */
const MOST_POSITIONS = 2048;
const LEAST_POSITIONS = 256;
/** Activations of a micro-batch of sequences of 256 tokens at most, where it has more than the least positions. */
const ACTIVATION_BYTES = 3e9;

/** Width of the sparse targets that estimates assume; it moves them by less than a percent. */
const TARGET_WIDTH = 20;
const TOP_K = 10;

/**
 * Positions of a training micro-batch, padding included; a longer sequence is alone. Depends on the model's shape and
 * nothing else, so that training gives the same bytes on every machine: 2,048 for small models, 1,024 for 135 million
 * parameters in 30 layers, 512 for a 0.5 billion model with a vocabulary of 152 thousand.
 */
export function positionBudget(model: Model): number {
  let positions = MOST_POSITIONS;
  while (positions > LEAST_POSITIONS && activationBytes(model, LEAST_POSITIONS, positions) > ACTIVATION_BYTES) {
    positions /= 2;
  }
  return positions;
}

export interface TrainingExtent {
  /** Tokens of the longest sequence. */
  readonly length: number;
  /** Whether an optimiser step has more than one micro-batch: the gradients of later ones are added to the first's. */
  readonly severalBatches: boolean;
}

/** Training with float32 master weights in micro-batches of `positions`. */
export function trainingBytes(model: Model, extent: TrainingExtent, positions: number = positionBudget(model)): number {
  const perParameter = STATE_BYTES + (extent.severalBatches ? FLOAT_BYTES : 0);
  return perParameter * model.parameters + activationBytes(model, extent.length, positions);
}

/** What no training of a model does without: one micro-batch a step, of short sequences. */
export function leastTrainingBytes(model: Model, positions: number = positionBudget(model)): number {
  return trainingBytes(model, { length: LEAST_POSITIONS, severalBatches: false }, positions);
}

/** Of the largest micro-batch of sequences of up to `length` tokens. */
function activationBytes(model: Model, length: number, positions: number): number {
  const { batch, padded } = largestBatch(length, positions);
  const rows = batch * padded;
  const { peakBytes } = trainingProgram(model, { batch, length: padded, rows, width: TARGET_WIDTH, tail: false });
  return peakBytes + FLOAT_BYTES * rows * model.config.hiddenSize;
}

/** Teacher passes over sequences of up to `length` tokens, with weights where `placementOf` puts them. */
export function teacherBytes(
  model: Model,
  length: number,
  placement: Placement = placementOf(model.parameters),
): number {
  const { batch, padded } = largestBatch(length, TEACHER_POSITIONS);
  const rows = batch * padded;
  if (placement === "resident") {
    return FLOAT_BYTES * model.parameters + rowsProgram(model, { batch, length: padded, rows, topK: TOP_K }).peakBytes;
  }
  // The head follows block by block, with less than a layer's activations.
  const states = FLOAT_BYTES * model.config.hiddenSize * (Math.max(PASS_POSITIONS, rows) + rows);
  return windowBytes(model) + states + layerProgram(model, 0, { batch, length: padded }).peakBytes;
}

/** Generation of one answer, prompt included `length` tokens long: all weights, keys and values, and the prompt read. */
export function generationBytes(model: Model, length: number): number {
  const prompt = lengthBucket(Math.min(length, TEACHER_POSITIONS));
  const { vocabularySize } = model.config;
  const shape = {
    batch: 1,
    length: prompt,
    capacity: 0,
    allowed: vocabularySize,
    candidates: Math.min(TOP_K, vocabularySize),
  };
  const cached = (2 ** Math.ceil(Math.log2(length)) + prompt) * positionBytes(model);
  return FLOAT_BYTES * model.parameters + cached + decodeProgram(model, shape).peakBytes;
}

/** The most sequences of up to `length` tokens that share a micro-batch, and what they are padded to. */
function largestBatch(length: number, positions: number): { batch: number; padded: number } {
  const padded = lengthBucket(length);
  return { batch: 2 ** Math.max(0, Math.floor(Math.log2(positions / padded))), padded };
}
