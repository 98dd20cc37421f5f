/**
 * Where everything lies in a run directory (FORMATS, "Verbs"), and the models a recipe makes or reads, in the order in
 * which tables and charts show them. Paths are relative to the run directory.
 */
import { join } from "node:path";
import type { Recipe, RecipeMerge, RecipeModel } from "./recipe.ts";

export const RUN_FILES = {
  recipe: "recipe.yaml",
  plan: "plan.json",
  timing: "timing.jsonl",
  train: "data/train.jsonl",
  heldOut: "data/held-out.jsonl",
  comparison: "evaluate/held-out.json",
  report: "report.html",
  units: ".units",
  lock: ".lock",
} as const;

/** Everything that a run may write into its directory; `--force` removes this and nothing else. */
export const RUN_ENTRIES: readonly string[] = [
  "recipe.yaml",
  "plan.json",
  "timing.jsonl",
  "data",
  "distributions",
  "aligned",
  "targets",
  "baselines",
  "fused",
  "merges",
  "evaluate",
  "report.html",
  ".units",
];

export type RunModelRole = "pivot" | "source" | "target" | "fused" | "merge" | "baseline";

export interface RunModel {
  /** Unique in the run; `evaluate/held-out/<name>.json` holds its figures. */
  readonly name: string;
  readonly role: RunModelRole;
  /** The model folder: absolute for pivot and sources, relative to the run directory for what the run makes. */
  readonly folder: string;
  /** The source that a target was fused with. */
  readonly source?: string;
}

/** Every model of the run: pivot, sources, targets, fused, further merges, baselines. */
export function modelsOf(recipe: Recipe): RunModel[] {
  return [
    { name: recipe.pivot.name, role: "pivot", folder: recipe.pivot.model },
    ...recipe.sources.map(({ name, model }): RunModel => ({ name, role: "source", folder: model })),
    ...recipe.sources.map(targetOf),
    ...recipe.merge.map(mergedModelOf),
    ...baselinesOf(recipe),
  ];
}

export function targetOf(source: RecipeModel): RunModel {
  return { name: `target-${source.name}`, role: "target", folder: join("targets", source.name), source: source.name };
}

/** The first merge is the fused model. */
export function mergedModelOf(merge: RecipeMerge, index: number): RunModel {
  if (index === 0) return { name: "fused", role: "fused", folder: "fused" };
  return { name: `merge-${merge.name}`, role: "merge", folder: join("merges", merge.name) };
}

/** Plain fine-tuning runs, and their merge. */
export function baselinesOf(recipe: Recipe): RunModel[] {
  const names = fineTuningRunsOf(recipe);
  if (recipe.baselines.includes("sft-merge")) names.push("sft-merge");
  return names.map((name) => ({ name, role: "baseline", folder: join("baselines", name) }));
}

/** `sft`, and for `sft-merge` as many runs as there are targets: `sft-2`, `sft-3`, each with another shuffle. */
export function fineTuningRunsOf(recipe: Recipe): string[] {
  const runs = recipe.baselines.includes("sft-merge")
    ? recipe.sources.length
    : recipe.baselines.includes("sft")
      ? 1
      : 0;
  return Array.from({ length: runs }, (_, index) => (index === 0 ? "sft" : `sft-${index + 1}`));
}

export function distributionsFolder(model: string): string {
  return join("distributions", model);
}

export function alignedFolder(source: string): string {
  return join("aligned", source);
}

export function heldOutFile(model: string): string {
  return join("evaluate", "held-out", `${model}.json`);
}
