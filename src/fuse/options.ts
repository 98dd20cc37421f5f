/**
 * What a fusion is told, its defaults (FuseChat, section 4.1, where the paper states them, but for the level, which the
 * laboratory's experiment decided), and what is refused.
 */

import type { Conversation } from "../data/conversation.ts";
import { checkTemplateSettings, type TemplateSettings } from "../data/template-settings.ts";
import type { WeightDtype } from "../engine/engine.ts";
import { ALL_LINEAR, LORA_TARGET, type LoraSettings } from "../engine/lora.ts";
import { inputError, suggestion } from "../errors.ts";
import { DEFAULT_EVEN_SHARE, EMPHASES, type Emphasis } from "./emphasis.ts";
import { fusionFunction } from "./functions/index.ts";

export const LEVELS = ["conversation", "row", "group"] as const;
export const TAILS = ["renormalise", "drop", "bucket", "pivot"] as const;
export const UNSHARED = ["label", "pivot", "skip"] as const;
export const WEIGHT_DTYPES: readonly WeightDtype[] = ["float32", "float16", "bfloat16"];

/** Whether the fusion function judges a conversation, every row by itself, or what conversations like it cost. */
export type Level = (typeof LEVELS)[number];
/** What becomes of the probability outside the stored top-K. */
export type Tail = (typeof TAILS)[number];
/** The target of a row where the source is chosen but has nothing to say. */
export type Unshared = (typeof UNSHARED)[number];

/** How the target distributions are made; without sources there are none, and none of this counts. */
export interface FusionSettings {
  /** Name of a fusion function. */
  readonly function: string;
  readonly level: Level;
  /** Weight of the label term, 0 to 1; the fusion term has the rest. */
  readonly lambda: number;
  readonly tail: Tail;
  readonly unshared: Unshared;
  /** How often conversations come up. */
  readonly emphasis: Emphasis;
  /** By gain: the share of an epoch that goes to all conversations alike, above 0 to 1. */
  readonly evenShare: number;
}

export interface TrainingSettings {
  /** Peak learning rate. */
  readonly lr: number;
  readonly epochs: number;
  /** Conversations an optimiser step. */
  readonly batch: number;
  /** Share of all steps in which the learning rate rises. */
  readonly warmupRatio: number;
  /** Decoupled weight decay, on tensors of two or more dimensions. */
  readonly weightDecay: number;
  readonly seed: number;
  readonly shuffle: boolean;
  /**
   * Of the written weights; training itself is in float32. At the default learning rate a step moves a weight by up to
   * 5e-6, less than half a bfloat16 step for every |w| above 0.002: rounding would undo most of a short training.
   */
  readonly dtype: WeightDtype;
  /** Low-rank adapters are trained instead of the weights, and added to them in the end. */
  readonly lora?: LoraSettings | undefined;
}

/** Said of a recipe's key or a command's flag. */
export const LORA_NEEDS_TORCH =
  "low-rank adapters are trained by PyTorch alone; choose engine: torch (--engine torch), or train the weights themselves";

export interface FuseOptions extends FusionSettings, TrainingSettings {
  /** The pivot's model folder. */
  readonly model: string;
  /** The prepared data that the shards speak of, whole and in order. */
  readonly conversations: readonly Conversation[];
  /** Folder of the pivot's distributions. Without it (and without `aligned`) the target is fine-tuned from data alone. */
  readonly pivot?: string;
  /** Folders of aligned shards, one a source. Without any the target is plainly fine-tuned on the labels. */
  readonly aligned?: string | readonly string[];
  /** Folders of the sources' distributions, in the same order; needed at `level: row` alone. */
  readonly source?: string | readonly string[];
  /** Without `pivot`: tokens a conversation is cut to, and what prompts are rendered with; shards know both. */
  readonly maxLength?: number;
  readonly templateSettings?: TemplateSettings;
  /** The target's folder. */
  readonly out: string;
  /** Optimiser steps between checkpoints; the default follows from the number of steps. Does not change the result. */
  readonly checkpointSteps?: number;
}

export const FUSION_DEFAULTS: FusionSettings = {
  function: "min-ce",
  level: "group",
  lambda: 0.9,
  tail: "renormalise",
  unshared: "label",
  emphasis: "even",
  evenShare: DEFAULT_EVEN_SHARE,
};

export const TRAINING_DEFAULTS: TrainingSettings = {
  lr: 5e-6,
  epochs: 3,
  batch: 128,
  warmupRatio: 0.03,
  weightDecay: 0,
  seed: 0,
  shuffle: true,
  dtype: "float32",
};

/** The folders of an option that may have one, several or none. */
export function foldersOf(given: string | readonly string[] | undefined): readonly string[] {
  if (given === undefined) return [];
  return typeof given === "string" ? [given] : given;
}

/** Throws one input error for the first option that makes no sense. */
export function checkOptions(options: FuseOptions): void {
  fusionFunction(options.function);
  checkWord("level", options.level, LEVELS);
  checkWord("tail", options.tail, TAILS);
  checkWord("unshared", options.unshared, UNSHARED);
  checkWord("emphasis", options.emphasis, EMPHASES);
  checkWord("dtype", options.dtype, WEIGHT_DTYPES);
  checkNumber("lambda", options.lambda, 0, 1);
  checkNumber("lr", options.lr, 0, Number.MAX_VALUE);
  checkNumber("warmup-ratio", options.warmupRatio, 0, 1);
  checkNumber("weight-decay", options.weightDecay, 0, Number.MAX_VALUE);
  checkWhole("epochs", options.epochs, 1);
  checkWhole("batch", options.batch, 1);
  checkWhole("seed", options.seed, 0);
  if (!(options.evenShare > 0 && options.evenShare <= 1)) {
    throw inputError("fuse", `even-share: expected a number above 0, up to 1, found ${options.evenShare}`);
  }
  if (options.emphasis === "gain" && (options.level !== "group" || !options.shuffle)) {
    throw inputError("fuse", GAIN_NEEDS_GROUPS);
  }
  if (options.lora !== undefined) checkLora(options.lora);
  if (options.checkpointSteps !== undefined) checkWhole("checkpoint-steps", options.checkpointSteps, 1);
  if (options.conversations.length === 0) {
    throw inputError("fuse", "the data set is empty; expected at least one conversation");
  }
  const [aligned, sources] = [foldersOf(options.aligned), foldersOf(options.source)];
  if (aligned.length > 0 && options.pivot === undefined) {
    throw inputError("fuse", "aligned shards lie beside the pivot's, which are needed too; add --pivot DIR");
  }
  if (options.pivot !== undefined && options.maxLength !== undefined) {
    throw inputError("fuse", "the pivot's shards fix the length of conversations; leave out --max-length");
  }
  if (options.pivot !== undefined && options.templateSettings !== undefined) {
    throw inputError("fuse", "the pivot's shards fix what prompts are rendered with; leave out the template's options");
  }
  if (options.maxLength !== undefined) checkWhole("max-length", options.maxLength, 1);
  if (options.templateSettings !== undefined) checkTemplateSettings(options.templateSettings, "fuse");
  if (sources.length > 0 && aligned.length === 0) {
    throw inputError("fuse", "the source's shards say nothing without the aligned ones; add --aligned DIR");
  }
  if (sources.length > 0 && sources.length !== aligned.length) {
    throw inputError(
      "fuse",
      `expected as many folders of sources as of aligned shards, in the same order, found ${sources.length} and ${aligned.length}`,
    );
  }
  if (options.level === "row" && aligned.length > sources.length) {
    throw inputError(
      "fuse",
      'level "row" compares label by label and needs the source\'s own shards; add --source DIR',
    );
  }
}

/** Said of a recipe's key or a command's flag. */
export const EVEN_SHARE_NEEDS_GAIN =
  "says how many of the steps by gain go to all conversations alike; take emphasis: gain (--emphasis gain), or leave it out";

/** Said of a recipe's key or a command's flag. */
export const GAIN_NEEDS_GROUPS =
  "emphasis: gain goes by what conversations that are alike cost the models, and draws their order; take level: group, and leave shuffle on";

function checkLora({ rank, alpha, targets }: LoraSettings): void {
  checkWhole("lora-rank", rank, 1);
  if (!(alpha > 0 && Number.isFinite(alpha)))
    throw inputError("fuse", `lora-alpha: expected more than 0, found ${alpha}`);
  const wrong = targets.find((name) => !LORA_TARGET.test(name));
  if (targets.length === 0 || wrong !== undefined) {
    const found = wrong === undefined ? "none" : JSON.stringify(wrong);
    throw inputError(
      "fuse",
      `lora-targets: expected last names of modules such as q_proj, or ${ALL_LINEAR}, found ${found}`,
    );
  }
}

function checkWord(name: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw inputError("fuse", `${name}: expected one of ${known.join(", ")}, found "${value}"${suggestion(value, known)}`);
}

function checkNumber(name: string, value: number, low: number, high: number): void {
  if (value >= low && value <= high) return;
  const range = high === Number.MAX_VALUE ? `a number of at least ${low}` : `a number from ${low} to ${high}`;
  throw inputError("fuse", `${name}: expected ${range}, found ${value}`);
}

function checkWhole(name: string, value: number, low: number): void {
  if (Number.isSafeInteger(value) && value >= low) return;
  throw inputError("fuse", `${name}: expected a whole number of at least ${low}, found ${value}`);
}
