/**
 * What an engine's work takes, before any of it is done. Each engine has an estimate of its own, so that a plan asks
 * whoever will compute a stage and knows nothing of how; `estimates.ts` lists them.
 */
import type { Model } from "../models/index.ts";
import type { ModelSizes } from "../models/sizes.ts";
import type { LoraSettings } from "./lora.ts";
import type { Extent } from "./onnx/batches.ts";

/** A model as far as it is known without its weights. */
export interface EstimatedModel {
  readonly sizes: ModelSizes;
  /** Null of an architecture that the embedded engine does not have. */
  readonly model: Model | null;
}

export interface PassesWork {
  /** Sequences as they are, or those of a sample. */
  readonly extents: readonly Extent[];
  /** Of all sequences. */
  readonly tokens: number;
  readonly rows: number;
  readonly topK: number;
}

export interface TrainingWork {
  readonly steps: number;
  readonly epochs: number;
  /** Of one pass over all conversations. */
  readonly tokens: number;
  readonly rows: number;
  /** The sequences of the first steps, a list a step. */
  readonly batches: () => Iterable<readonly Extent[]>;
  /** Bytes that the stage holds besides the engine, where both are one process. */
  readonly dataBytes: number;
  /** Places of a row's target; 0 without one. */
  readonly width: number;
  readonly checkpoints: number;
  /** Low-rank adapters instead of the weights themselves. */
  readonly lora: LoraShape | null;
}

/** What a training reads lies in a file meanwhile: ids, positions, and W pairs of an id and a probability a row. */
export function lessonsBytes({ tokens, rows, width }: Pick<TrainingWork, "tokens" | "rows" | "width">): number {
  return 4 * (tokens + rows) + 8 * rows * Math.max(1, width);
}

export type LoraShape = Pick<LoraSettings, "rank" | "targets">;

export interface Cost {
  /** Of one process, in the memory that its weights are in. */
  readonly memoryBytes: number;
  /** Null where the speed is not known. */
  readonly seconds: number | null;
  /** Disk that is given back when the work is done. */
  readonly workBytes: number;
  /** What to change, where `memoryBytes` are more than there are; null where they are not, or nothing would help. */
  readonly advice: string | null;
}

export interface TrainingCost extends Cost {
  /** Tokens of one process's micro-batch at most. */
  readonly microBatchTokens: number;
  /** Of `workBytes`: the newest checkpoint beside the one before it. */
  readonly checkpointBytes: number;
}

export interface Estimate {
  /** Processes that share the work; each takes the memory of a cost. */
  readonly processes: number;
  /** What a process has at most; null where that is not known. */
  readonly availableBytes: number | null;
  /** Which memory that is: `memory`, or `memory of a GPU`. */
  readonly memory: string;
  /** What times rest on, for people; where there are none, how to get some. */
  readonly basis: string;
  /** Distributions of all rows. */
  passes(model: EstimatedModel, work: PassesWork): Cost;
  training(model: EstimatedModel, work: TrainingWork): TrainingCost;
}
