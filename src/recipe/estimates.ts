/**
 * The formulas of `plan`: bytes on disk, bytes in memory, seconds. Bytes on disk follow from the file formats; memory
 * from the programs that would run, within 15 % of what is measured (`bench/training-memory.mjs`); time is operations
 * over a rate that is measured, where it can be, or stated.
 */
import { availableParallelism } from "node:os";
import type { Conversation } from "../data/conversation.ts";
import type { Engine } from "../engine/engine.ts";
import {
  generationBytes,
  PROCESS_BYTES,
  type TrainingExtent,
  teacherBytes,
  trainingBytes,
} from "../engine/onnx/memory.ts";
import type { Model } from "../models/index.ts";
import type { OpenedModel } from "./open-inputs.ts";
import type { Recipe } from "./recipe.ts";

/** Bytes of a distributions shard's rows: label, span, lead, and K pairs of an id and a float16. */
export function distributionsBytes(rows: number, topK: number, vocabulary: number): number {
  return rows * (idBytes(vocabulary) + 15 + topK * (idBytes(vocabulary) + 2));
}

/** Bytes of an aligned shard's rows: the source's row, and W pairs of an id and a float16. */
export function alignedBytes(rows: number, width: number, vocabulary: number): number {
  return rows * (4 + width * (idBytes(vocabulary) + 2));
}

export function modelBytes(parameters: number, dtype: "float32" | "float16" | "bfloat16" | "float64"): number {
  return parameters * { float64: 8, float32: 4, float16: 2, bfloat16: 2 }[dtype];
}

/** Weights and two moments in float32. */
export function checkpointBytes(parameters: number): number {
  return 12 * parameters;
}

/** Ids are stored in two bytes up to this vocabulary. */
function idBytes(vocabulary: number): number {
  return vocabulary > 65_536 ? 4 : 2;
}

/** Ids and positions of all tokens and rows, in a file while a target trains. */
export function tokenFileBytes(tokens: number, rows: number): number {
  return 4 * (tokens + rows);
}

/** What a training holds of its data: the texts and where everything is found, and a shard of the pivot and the source. */
export function trainingDataMemory(conversations: readonly Conversation[]): number {
  return SHARDS_BYTES + conversationsMemory(conversations);
}

/** A shard of 256 conversations of either side, and two batches. */
const SHARDS_BYTES = 60e6;
/** Objects, ids and places of a conversation. */
const CONVERSATION_BYTES = 1500;
/** What the collector has not yet found of them comes on top: `bench/fuse-data.mjs` measures all three together. */
const UNCOLLECTED = 1.5;

/** Texts take a byte a character where all are of Latin-1, else two. */
function conversationsMemory(conversations: readonly Conversation[]): number {
  let bytes = 0;
  for (const { turns } of conversations) {
    bytes += CONVERSATION_BYTES;
    for (const { content } of turns) bytes += UNCOLLECTED * content.length * (/[\u0100-\uffff]/.test(content) ? 2 : 1);
  }
  return bytes;
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

/** A process with a tokenizer, which takes about 1,100 bytes a token (203 MB for 151,665), and a template's thread. */
function processBytes({ config }: Model): number {
  return PROCESS_BYTES + 40e6 + 1100 * config.vocabularySize;
}

export interface Throughput {
  inferenceSeconds(parameters: number, tokens: number): number;
  trainingSeconds(parameters: number, tokens: number): number;
  /** One sentence that says where the rate comes from. */
  readonly basis: string;
}

/** A forward pass takes two operations a parameter and token, a training step six (forward, and twice that backward). */
const FORWARD = 2;
const TRAINING = 6;
/** What ONNX Runtime reaches on one core of the processors of 2020 and later, in teacher passes. */
const ASSUMED_RATE_PER_CORE = 40e9;
/** Training reaches this share of the rate of teacher passes: more memory traffic, and the optimiser. */
const TRAINING_SHARE = 0.7;

/** `rate` in operations a second, of teacher passes. */
function throughputAt(rate: number, basis: string): Throughput {
  return {
    basis,
    inferenceSeconds: (parameters, tokens) => (FORWARD * parameters * tokens) / rate,
    trainingSeconds: (parameters, tokens) => (TRAINING * parameters * tokens) / (TRAINING_SHARE * rate),
  };
}

/** Threads of the embedded engine; null: one a core. */
export function threadsOf({ engine }: Pick<Recipe, "engine">): number | null {
  return engine.kind === "onnx" ? engine.threads : null;
}

/** Whether memory and time of all engines of a recipe are known here: those of the embedded one are. */
export function isEstimated({ engine, pivot, sources }: Pick<Recipe, "engine" | "pivot" | "sources">): boolean {
  return [engine, ...[pivot, ...sources].map((model) => model.engine)].every(
    (one) => one === null || one.kind === "onnx",
  );
}

export function assumedThroughput(threads: number | null): Throughput {
  const cores = threads ?? availableParallelism();
  const rate = cores * ASSUMED_RATE_PER_CORE;
  return throughputAt(rate, `assumed ${(rate / 1e9).toFixed(0)} GFLOP/s on ${cores} ${cores === 1 ? "core" : "cores"}`);
}

/** Above this size opening the model would take longer than the estimate is worth. */
export const TRIAL_PARAMETERS = 200e6;

/** Times a teacher pass of the pivot over a few conversations, the second time it runs. */
export async function measuredThroughput(
  engine: Engine,
  pivot: Pick<OpenedModel, "facts" | "trial">,
  topK: number,
): Promise<Throughput> {
  const model = await engine.open(pivot.facts.folder);
  try {
    await model.rows(pivot.trial, topK);
    const startedAt = performance.now();
    await model.rows(pivot.trial, topK);
    const seconds = (performance.now() - startedAt) / 1000;
    const tokens = pivot.trial.reduce((sum, { ids }) => sum + ids.length, 0);
    const rate = (FORWARD * pivot.facts.parameters * tokens) / seconds;
    const speed = Math.round(tokens / seconds);
    return throughputAt(rate, `measured ${speed} tokens/s in a teacher pass of the pivot over ${tokens} tokens`);
  } finally {
    await model.dispose();
  }
}
