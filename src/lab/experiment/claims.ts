/**
 * What the experiment asks: each claim is that one arm's model is nearer to the floor than another's. Claims are data; a
 * new one is one line. The papers' own are first.
 */

import { FINE_TUNING_AS_RECOMMENDED, RECOMMENDED } from "./arms.ts";

export interface Claim {
  readonly text: string;
  /** Arms, the mean of whose models is said to be better, */
  readonly arms: readonly string[];
  /** than the mean of these. */
  readonly than: readonly string[];
}

export interface ClaimNames {
  readonly pivot: string;
  readonly sources: readonly string[];
  /** Largest number of conversations of the curves. */
  readonly most: number;
}

export function claimsOf({ pivot, sources, most }: ClaimNames): readonly Claim[] {
  const targets = sources.map((source) => `pair-${source}`);
  const claim = (text: string, arms: string | readonly string[], than: string | readonly string[]): Claim => ({
    text,
    arms: typeof arms === "string" ? [arms] : arms,
    than: typeof than === "string" ? [than] : than,
  });
  const sceBeats = (name: string, arm: string): Claim => claim(`SCE merges better than ${name}`, "fused", arm);
  return [
    claim("targets are better than the pivot", targets, pivot),
    claim("targets are better than plain fine-tuning with the same steps", targets, "sft-0"),
    claim("the merge is better than plain fine-tuning", "fused", "sft-0"),
    claim("the merge is better than its targets in the mean", "fused", targets),
    ...targets.map((target, n) => claim(`the merge is better than the target of ${sources[n]}`, "fused", target)),
    claim("the merge is better than as many fine-tunings merged", "fused", "sft-merge"),
    sceBeats("the mean", "mean"),
    sceBeats("task arithmetic", "task-arithmetic"),
    sceBeats("TIES", "ties"),
    sceBeats("DARE-TIES", "dare-ties"),
    sceBeats("VaRM by matrix, as its paper chose", "varm-matrix"),
    sceBeats("VaRM by layer", "varm-layer"),
    sceBeats("VaRM with one share a model", "varm-model"),
    sceBeats("VaRM by parameter", "varm-parameter"),
    sceBeats("SCE as the paper writes it", "sce-paper"),
    sceBeats("SCE as mergekit computes it", "sce-mergekit"),
    claim("pairs, merged, are better than one target of all sources", "fused", "together"),
    claim("and so where both are chosen by group", "fused-group", "together-group"),
    claim("choosing by group is better than by conversation, in pairs", "fused-group", "fused"),
    claim("and with all sources together", "together-group", "together"),
    claim("and so with groups of the prompts alone", "together-prompts", "together"),
    claim("the names of the skills are better than groups of the prompts", "together-group", "together-prompts"),
    claim("steps by what sources know beyond the pivot are better than even ones", "together-gain", "together-group"),
    claim("choosing by row is better than by conversation", "together-row", "together"),
    claim("avg-ce is better than min-ce", "together-avg-ce", "together"),
    claim("and so by group", "together-avg-ce-group", "together-group"),
    claim("always the best source is better than min-ce with the pivot", "together-source", "together"),
    claim("split carries masses over better than mapping statistics", "together-group", "mapping-statistics"),
    claim("split is better than exact matches", "together-group", "exact"),
    claim("split is better than the nearest spelling", "together-group", "min-edit"),
    claim("rows within tokens and beside lone spaces are better told than not", "within", "together-group"),
    claim("the label is better than the pivot where a chosen source is silent", "together-group", "unshared-pivot"),
    claim("and better than nothing", "together-group", "unshared-skip"),
    claim("ten tokens a row are better than five", "together-group", "top-5"),
    claim("32 tokens a row are better than ten", "top-32", "together-group"),
    claim("five drawn tokens a row are better than the five most probable", "sampled-5", "top-5"),
    claim("ten drawn tokens a row are better than the ten most probable", "sampled-10", "together-group"),
    claim("32 drawn tokens a row are better than the 32 most probable", "sampled-32", "top-32"),
    claim("the pivot's own tail is better than none", "tail-pivot", "together-group"),
    claim("holding all other tokens together is better than not", "tail-bucket", "together-group"),
    claim("a label term of a tenth is better than none", "together-group", "lambda-0"),
    claim("a label term of a tenth is better than one of a half", "together-group", "lambda-0.5"),
    claim("a label term of a tenth is better than the papers' 0.9", "together-group", "lambda-0.9"),
    claim(
      "the recommended way is better than fine-tuning on the same conversations with the same steps",
      RECOMMENDED,
      FINE_TUNING_AS_RECOMMENDED,
    ),
    ...sources.map((source) => claim(`the recommended way is better than ${source}`, RECOMMENDED, source)),
    ...sources.map((source) =>
      claim(`one target of all sources on ${most} conversations is better than ${source}`, largest(most), source),
    ),
  ];
}

function largest(conversations: number): string {
  return `together-group of ${conversations}`;
}
