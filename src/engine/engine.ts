/**
 * The one interface that every engine implements: the embedded one on ONNX Runtime (`onnx/`), the cluster engine on
 * PyTorch and remote endpoints. A stage sees nothing of an engine but this file, and the same numeric test suite runs
 * against each. Weights never cross it: models come from folders and go to folders.
 */

import type { LoraSettings } from "./lora.ts";
import type { ServedModel } from "./server/served-model.ts";

/** One tokenised conversation and the labels in it whose distributions are wanted. */
export interface Sequence {
  /** Token ids of the whole rendering, prompt included. */
  readonly ids: Int32Array;
  /** Indices into `ids` of the labels, ascending, each at least 1. The row of a label is the softmax *before* it. */
  readonly positions: Int32Array;
  /** Index of its conversation in the data, for messages. */
  readonly conversation?: number;
  /**
   * [rows] numbers from 0 up to below 1: where they are there, `rows` draws K ids of each row with them instead of
   * taking the most probable ones. All sequences of a call have them, or none.
   */
  readonly uniform?: Float32Array;
}

/** Distributions of all rows of a batch, in the order of its sequences and their positions. R rows, K kept. */
export interface RowBatch {
  /** [R] log-probability of each label, nats. */
  readonly labelLogp: Float32Array;
  /** [R, K] most probable ids, descending; ties: lower id first. Of drawn rows the ids that were, the most frequent first. */
  readonly topId: Int32Array;
  /** [R, K] log-probabilities under the full softmax, nats; of drawn rows log(count / K). Places of no id: id 0, -Infinity. */
  readonly topLogp: Float32Array;
}

export interface RankedRows extends RowBatch {
  /** [R] place of each label among all ids, from 1 on; equals share one. */
  readonly labelRank: Int32Array;
}

/** A sequence to train on: for each row the label's weight and a sparse target of width W. */
export interface TrainSequence extends Sequence {
  /** [rows, W] target ids; unused places have id 0 and probability 0. W is the same in a whole step. */
  readonly targetId: Int32Array;
  /** [rows, W] target probabilities q, used as they are (they need not sum to one). */
  readonly targetProbability: Float32Array;
  /**
   * [rows] the mass t of the tail bucket, or null where the loss has none: adds `-t * log(1 - sum_k p(k))`, k over
   * the ids with positive target probability; the complement from its own log-sum-exp, floored at 1e-7.
   */
  readonly tailProbability: Float32Array | null;
}

/** One optimiser step over a whole batch; the engine cuts it into micro-batches of any shape it likes. */
export interface TrainStep {
  readonly sequences: readonly TrainSequence[];
  /** Weight of the label term; the sparse target and its tail have 1 - lambda. */
  readonly lambda: number;
  readonly learningRate: number;
}

/** Means over the rows of the whole step, before the update. */
export interface StepResult {
  readonly rows: number;
  /** Mean of -log p(label), nats. */
  readonly labelLoss: number;
  /** Mean of -sum_k q_k log p(k), tail included, nats; rows without a target count as 0. */
  readonly fusionLoss: number;
  /** Global L2 norm of the gradient of `lambda * labelLoss + (1 - lambda) * fusionLoss`, before clipping. */
  readonly gradientNorm: number;
}

export interface OptimiserOptions {
  /** Decoupled decay, on tensors of two or more dimensions only. */
  readonly weightDecay: number;
  /** Largest global gradient norm; 1.0 in the papers. */
  readonly clipNorm: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

export const ADAMW: OptimiserOptions = { weightDecay: 0, clipNorm: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/** Weight dtype of a written model. */
export type WeightDtype = "float32" | "float16" | "bfloat16";

export interface Trainer {
  step(step: TrainStep): Promise<StepResult>;
  /** Writes weights, moments and step count to one file, atomically. */
  saveCheckpoint(path: string): Promise<void>;
  /** Restores what `saveCheckpoint` wrote: training goes on bit for bit as if it had not stopped. */
  loadCheckpoint(path: string): Promise<void>;
  /** Writes the weights as `model.safetensors` (and index, where sharded) into an existing folder, atomically. */
  saveWeights(folder: string, dtype: WeightDtype): Promise<void>;
  dispose(): Promise<void>;
}

/** A training from its first step to its written weights: what an engine is told that is not stepped from outside. */
export interface WholeTraining {
  /** The pivot's folder. */
  readonly model: string;
  readonly options: OptimiserOptions;
  readonly lambda: number;
  /** Number of sequences, and each by its place; null for one without rows. */
  readonly count: number;
  readonly read: (place: number) => Promise<TrainSequence | null>;
  /** The places of each step's sequences, and its rate. */
  readonly steps: readonly { readonly batch: readonly number[]; readonly learningRate: number }[];
  readonly checkpointSteps: number;
  readonly dtype: WeightDtype;
  /** Adapters that are trained instead of the weights; their first values follow from the seed. Null: the weights are. */
  readonly lora: (LoraSettings & { readonly seed: number }) | null;
  /** Kept between attempts, gone after the training. */
  readonly work: string;
  /** Where the weights go: an existing folder; an adapter that is kept goes to `adapter` in it. */
  readonly out: string;
}

/** What is heard of work that takes long, and when it is to stop. */
export interface Watch {
  readonly signal?: AbortSignal;
  /** `done` of the sequences or steps; of a training's step its figures, too. */
  readonly onProgress?: (done: number, step?: StepResult & { readonly seconds: number }) => void;
}

export interface GenerateOptions {
  readonly maxTokens: number;
  /** Generation ends with any of these ids, which is not part of the answer. */
  readonly stopIds: readonly number[];
  /** 0 is greedy. */
  readonly temperature: number;
  /** Nucleus: the smallest set of most probable tokens whose mass reaches this; 1 keeps all. */
  readonly topP: number;
  /** Keep this many most probable tokens; 0 keeps all. */
  readonly topK: number;
  /** Text that seeds the sampling of each prompt (with the prompt's index). */
  readonly seed: string;
  /** One text a prompt instead: its answer then does not depend on its place among the prompts. */
  readonly seeds?: readonly string[];
  /** Ids that must never be drawn (a padded head's ids without a token). */
  readonly bannedFrom?: number;
  /** Aborted: every answer ends with the token in hand, and what there is comes back. */
  readonly signal?: AbortSignal;
}

/** How one answer is drawn that is asked for by itself. */
export interface AnswerOptions
  extends Pick<GenerateOptions, "maxTokens" | "stopIds" | "temperature" | "topP" | "topK" | "bannedFrom" | "signal"> {
  /** Text that seeds the sampling. */
  readonly seed: string;
  /** Log-probabilities of each token, and of this many most probable ones beside it; null for none. */
  readonly topLogprobs: number | null;
}

/** A token's natural log-probability, and those of the most probable ones in its place, descending; ties: lower id first. */
export interface TokenLogprobs {
  readonly logprob: number;
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

export interface AnswerEnd {
  /** The stop id that ended it; null where it ended at its length or by its signal. */
  readonly stop: { readonly id: number; readonly logprobs: TokenLogprobs | null } | null;
  /** Tokens of the prompt that had been read before, with another one. */
  readonly reused: number;
}

/** What is known of a model that an engine can run, before it is opened. */
export interface ModelFacts {
  readonly folder: string;
  /** The `model_type` of its config. */
  readonly architecture: string;
  /** Width of the head: logits per row. */
  readonly vocabulary: number;
  /** Longest sequence the model can read, or null where its config names none. */
  readonly maxPositions: number | null;
  /** Null where nobody here has the weights. */
  readonly parameters: number | null;
}

export interface EngineModel {
  readonly folder: string;
  /** Width of the head: logits per row. */
  readonly vocabulary: number;
  /** Null where a server has them; `callTokens` is there then. */
  readonly parameters: number | null;
  /** Tokens that `rows` likes to be handed at once, where that does not follow from the number of parameters. */
  readonly callTokens?: number;
  /** Distributions of every label of every sequence. Only engines whose calls take long look at `watch`. */
  rows(sequences: readonly Sequence[], topK: number, watch?: Watch): Promise<RowBatch>;
  /**
   * For engines that take minutes to start: the sequences that `rows` will be asked for, in this order and with this K,
   * so that they are computed in one go. Some may be left out. What is computed stays in `work`.
   */
  ahead?(sequences: readonly Sequence[], topK: number, watch?: Watch): Promise<void>;
  /** Rows with the ranks of their labels, for those who serve them; absent where an engine does not count them. */
  rankedRows?(sequences: readonly Sequence[], topK: number): Promise<RankedRows>;
  /** Logits [T, vocabulary] of one sequence; for tests and inspection. */
  logits(ids: Int32Array): Promise<Float32Array>;
  /** One answer a prompt. `onToken` hears each token as it comes. */
  generate(
    prompts: readonly Int32Array[],
    options: GenerateOptions,
    onToken?: (prompt: number, id: number) => void,
  ): Promise<Int32Array[]>;
  /**
   * One answer beside whatever else is being answered: it joins the batch at its next token and leaves it at its own last
   * one, or when its signal says so. What it begins with and was read for another one is not computed again. Absent
   * where an engine answers whole batches only.
   */
  answer?(
    prompt: Int32Array,
    options: AnswerOptions,
    onToken: (id: number, logprobs: TokenLogprobs | null) => void,
  ): Promise<AnswerEnd>;
  dispose(): Promise<void>;
}

export interface Engine {
  /** As a recipe calls it. */
  readonly kind: string;
  /** What results depend on besides their inputs, kept with them; absent for the embedded engine. */
  readonly identity?: string;
  /** The model behind a server, whose weights are not here: what stands for their hash. */
  readonly served?: ServedModel;
  /** Whether this engine can run the model of a folder: what is known of it, or one error that says why not. */
  facts(folder: string): Promise<ModelFacts>;
  /** Opens a Hugging Face model folder for inference. What takes more than one attempt may be kept in `work`. */
  open(folder: string, work?: string): Promise<EngineModel>;
  /** Opens a folder's weights for training: float32 master weights, AdamW. */
  train(folder: string, options: OptimiserOptions): Promise<Trainer>;
  /** The whole training, where that is how the engine works; `train` is then not asked. One result a step. */
  trainWhole?(training: WholeTraining, watch: Watch): Promise<readonly StepResult[]>;
  dispose(): Promise<void>;
}
