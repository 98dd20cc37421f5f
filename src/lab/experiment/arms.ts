/**
 * The ways of making a model that the experiment compares: trainings, and merges of trained models. An arm is data; its
 * name is that of its model in folders, tables and claims. What is made of it for a seed, `make.ts` says.
 */

import { DEFAULT_WITHIN, type Within } from "../../align/within/within.ts";
import type { RowsKind } from "../../distributions/collect.ts";
import type { Emphasis } from "../../fuse/emphasis.ts";
import type { Groups } from "../../fuse/groups/groups.ts";
import { FUSION_DEFAULTS, type Level, type Tail, type Unshared } from "../../fuse/options.ts";
import type { Parameters } from "../../merge/parameters.ts";
import { BATCH } from "../demo-recipe.ts";
import type { ExperimentSettings } from "./settings.ts";

/** What is stored of a row's distribution. */
export interface StoredRows {
  readonly topK: number;
  /** Its most probable tokens, or as many drawn from all of it. */
  readonly rows: RowsKind;
}

export interface TrainingArm {
  readonly name: string;
  readonly kind: "training";
  /** Conversations of the seed's own draw, from its beginning. */
  readonly conversations: number;
  /** Whose distributions it is trained on: nobody's, one source's, or those of all together. */
  readonly sources: "none" | "all" | { readonly only: string };
  readonly function: string;
  readonly level: Level;
  /** Of `level: group`: what groups are made of, the names of the skills or the prompts alone. */
  readonly groups: Groups["by"];
  readonly lambda: number;
  readonly lr: number;
  readonly epochs: number;
  readonly batch: number;
  /** How often conversations come up in an epoch. */
  readonly emphasis: Emphasis;
  /** Of steps by gain, the share that goes to all conversations alike. */
  readonly evenShare: number;
  readonly rows: StoredRows;
  readonly tail: Tail;
  /** Name of the strategy that brings a source's tokens to the pivot's vocabulary. */
  readonly vocabulary: string;
  /** What rows within a token of a source get. */
  readonly within: Within;
  /** What rows of a chosen source that has nothing to say get. */
  readonly unshared: Unshared;
  /** Of fine-tunings that are merged, another order of the conversations each. */
  readonly shuffle: number;
}

export interface MergeArm {
  readonly name: string;
  readonly kind: "merge";
  /** Arms whose models are merged. */
  readonly of: readonly string[];
  readonly method: string;
  readonly parameters: Parameters;
}

export type Arm = TrainingArm | MergeArm;

/** What of an experiment's settings its arms follow. */
export type ArmSettings = Omit<ExperimentSettings, "seeds" | "held_out"> & {
  /** Names of the sources. */
  readonly sources: readonly string[];
};

/** The arm of the recommended way. */
export const RECOMMENDED = "recommended";
/** Fine-tuning on the same conversations, with the same steps. */
export const FINE_TUNING_AS_RECOMMENDED = "sft-recommended";

const BASE = {
  kind: "training",
  sources: "all",
  function: "min-ce",
  level: "group",
  groups: "labels",
  emphasis: "even",
  evenShare: FUSION_DEFAULTS.evenShare,
  batch: BATCH,
  rows: { topK: 10, rows: "top" },
  tail: FUSION_DEFAULTS.tail,
  vocabulary: "split",
  within: DEFAULT_WITHIN,
  unshared: FUSION_DEFAULTS.unshared,
  shuffle: 0,
} as const;

/** Of SCE: the share of entries, the demonstration's. */
const SHARE = 0.1;
/** Of TIES and DARE: the share of entries that is kept, as their papers have it. */
const DENSITY = 0.2;
/** Of VaRM: what gets a share of its own. */
const VARM = ["model", "layer", "matrix", "parameter"] as const;
/** Of task arithmetic, within the 0.3 to 0.5 that its paper recommends for several tasks. */
const TASK_WEIGHT = 0.3;

/** Every arm, in an order in which merges come after what they merge. */
export function armsOf(settings: ArmSettings): readonly Arm[] {
  const { sources, conversations, curve, lambda, lr, epochs, recommended } = settings;
  const base = { ...BASE, conversations, lambda, lr, epochs };
  const fineTuning = { ...base, sources: "none", level: "conversation" } as const;
  const together = (name: string, change: Partial<TrainingArm>): TrainingArm => ({ ...base, ...change, name });
  const fineTunings = sources.map((_, shuffle) => ({ ...fineTuning, name: `sft-${shuffle}`, shuffle }));
  const pairs = (level: Level, name: string): TrainingArm[] =>
    sources.map((only) => ({ ...base, level, sources: { only }, name: `${name}-${only}` }));
  const byConversation = pairs("conversation", "pair");
  const byGroup = pairs("group", "pair-group");
  const merge = (name: string, of: readonly TrainingArm[], method: string, parameters: Parameters): MergeArm => ({
    ...{ name, kind: "merge", method, parameters },
    of: of.map((arm) => arm.name),
  });
  const others = curve.filter((count) => count !== conversations);
  const { even_share: evenShare, ...steps } = recommended;
  return [
    ...fineTunings,
    merge("sft-merge", fineTunings, "sce", { variant: "fusechat", select_topk: SHARE }),
    ...byConversation,
    merge("fused", byConversation, "sce", { variant: "fusechat", select_topk: SHARE }),
    merge("sce-paper", byConversation, "sce", { variant: "paper", select_topk: SHARE }),
    merge("sce-mergekit", byConversation, "sce", { variant: "mergekit", select_topk: SHARE }),
    merge("mean", byConversation, "linear", { weight: 1 }),
    merge("task-arithmetic", byConversation, "task_arithmetic", { weight: TASK_WEIGHT }),
    merge("ties", byConversation, "ties", { weight: 1, density: DENSITY, normalize: true }),
    merge("dare-ties", byConversation, "dare_ties", { weight: 1, density: DENSITY, normalize: true }),
    ...VARM.map((granularity) => merge(`varm-${granularity}`, byConversation, "varm", { granularity })),
    ...byGroup,
    merge("fused-group", byGroup, "sce", { variant: "fusechat", select_topk: SHARE }),
    together("together", { level: "conversation" }),
    together("together-row", { level: "row" }),
    together("together-group", {}),
    together("together-prompts", { groups: "prompts" }),
    together("together-gain", { emphasis: "gain" }),
    together("together-avg-ce", { function: "avg-ce", level: "conversation" }),
    together("together-avg-ce-group", { function: "avg-ce" }),
    together("together-source", { function: "source", level: "conversation" }),
    together("mapping-statistics", { vocabulary: "mapping-statistics" }),
    together("exact", { vocabulary: "exact" }),
    together("min-edit", { vocabulary: "min-edit" }),
    together("within", { within: "conditional" }),
    together("unshared-pivot", { unshared: "pivot" }),
    together("unshared-skip", { unshared: "skip" }),
    together("top-5", { rows: { topK: 5, rows: "top" } }),
    together("top-32", { rows: { topK: 32, rows: "top" } }),
    ...[5, 10, 32].map((topK) => together(`sampled-${topK}`, { rows: { topK, rows: "sampled" } })),
    together("tail-pivot", { tail: "pivot" }),
    together("tail-bucket", { tail: "bucket" }),
    together("lambda-0", { lambda: 0 }),
    together("lambda-0.5", { lambda: 0.5 }),
    together("lambda-0.9", { lambda: 0.9 }),
    ...others.map((count) => ({ ...fineTuning, name: `sft-0 of ${count}`, conversations: count })),
    ...others.map((count) => together(`together-group of ${count}`, { conversations: count })),
    { ...fineTuning, ...steps, name: FINE_TUNING_AS_RECOMMENDED },
    together(RECOMMENDED, { ...steps, evenShare, groups: "prompts", emphasis: "gain", within: "conditional" }),
  ];
}
