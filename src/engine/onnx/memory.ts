/**
 * What the engine's work takes in memory, from a model's config alone: its weights and what is kept for each of them,
 * and the worst moment of the largest program (`graph/memory.ts`). Figures leave out what the process has taken
 * already (`PROCESS_BYTES`).
 */
import type { Model } from "../../models/index.ts";
import { lengthBucket } from "./batches.ts";
import { positionBytes } from "./generation/key-value-cache.ts";
import { POSITION_BUDGET as TEACHER_POSITIONS } from "./micro-batches.ts";
import { PASS_POSITIONS, type Placement, placementOf } from "./placement.ts";
import { decodeProgram } from "./programs/decode.ts";
import { layerProgram } from "./programs/layer.ts";
import type { Program } from "./programs/network.ts";
import { rowsProgram } from "./programs/rows.ts";
import { trainingProgram } from "./programs/training.ts";
import { SESSION_LIMIT } from "./runtime.ts";
import { windowBytes } from "./streamed/weights.ts";

/** Node, ONNX Runtime, sessions and what waits for the collector: 130 to 170 MB in processes that work on small models. */
export const PROCESS_BYTES = 150e6;

/** Weight and two moments in single precision. */
const STATE_BYTES = 12;
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

function activationBytes(model: Model, length: number, positions: number): number {
  return trainingProgram(model, { ...fullBatch(length, positions), width: TARGET_WIDTH, tail: false }).peakBytes.inner;
}

/** The shape of a micro-batch, padding included. */
export interface BatchShape {
  readonly batch: number;
  readonly length: number;
  readonly rows: number;
}

export interface TrainingExtent {
  /** Shapes of micro-batches, each once, at least one. */
  readonly shapes: readonly BatchShape[];
  /** Whether an optimiser step has more than one micro-batch: the sum of gradients stays beside those of the next one. */
  readonly severalBatches: boolean;
}

/** Training with float32 master weights: state, the activations of the largest micro-batch, a session a shape. */
export function trainingBytes(model: Model, { shapes, severalBatches }: TrainingExtent): number {
  const perParameter = STATE_BYTES + (severalBatches ? FLOAT_BYTES : 0);
  const largest = [...shapes].sort((a, b) => b.batch * b.length - a.batch * a.length || b.length - a.length)[0]!;
  const program = trainingProgram(model, { ...largest, width: TARGET_WIDTH, tail: false });
  // The binding copies all gradients once the activations are gone (`discard.ts`).
  const working = Math.max(program.peakBytes.withOutputs, 2 * FLOAT_BYTES * model.parameters);
  return perParameter * model.parameters + working + sessionsBytes(program, largest, shapes);
}

/** Sessions besides that of the largest shape. Nodes are about as many in each; masks grow with the square of the length. */
function sessionsBytes(program: Program, largest: BatchShape, shapes: readonly BatchShape[]): number {
  const share = shapes.reduce((sum, { length }) => sum + (length / largest.length) ** 2, 0) / shapes.length;
  const average = program.sessionBytes - 2 * program.onnx.length * (1 - share);
  return (Math.min(shapes.length, SESSION_LIMIT) - 1) * average;
}

/** As much of sequences of `length` tokens as fits into a micro-batch, every position a row; or one sequence. */
export function fullBatch(length: number, positions: number): BatchShape {
  const padded = lengthBucket(length);
  const batch = 2 ** Math.max(0, Math.floor(Math.log2(positions / padded)));
  return { batch, length: padded, rows: batch * padded };
}

/** What no training of a model does without. */
export function leastTrainingBytes(model: Model, positions: number): number {
  return trainingBytes(model, { shapes: [fullBatch(LEAST_POSITIONS, positions)], severalBatches: false });
}

/** Teacher passes over sequences of up to `length` tokens, with weights where `placementOf` puts them. */
export function teacherBytes(
  model: Model,
  length: number,
  placement: Placement = placementOf(model.parameters),
): number {
  const shape = fullBatch(length, TEACHER_POSITIONS);
  if (placement === "resident") {
    return FLOAT_BYTES * model.parameters + rowsProgram(model, { ...shape, topK: TOP_K }).peakBytes.withOutputs;
  }
  // The head follows block by block, with less than a layer's activations.
  const states = FLOAT_BYTES * model.config.hiddenSize * (Math.max(PASS_POSITIONS, shape.rows) + shape.rows);
  return windowBytes(model) + states + layerProgram(model, 0, shape).peakBytes.withOutputs;
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
  return FLOAT_BYTES * model.parameters + cached + decodeProgram(model, shape).peakBytes.withOutputs;
}
