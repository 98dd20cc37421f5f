/**
 * Where everything lies in a run directory (FORMATS, "Verbs"), and the models a recipe makes or reads, in the order in
 * which tables and charts show them. Paths are relative to the run directory.
 */

import { join } from "node:path";
import type { TemplateSettings } from "../data/template-settings.ts";
import type { EngineSettings } from "../engine/index.ts";
import { type Table, tableOf } from "../table.ts";
import { type RecipeBenchmark, readsAnswers } from "./evaluation.ts";
import { isServed, type Recipe, type RecipeMerge, type RecipeModel } from "./recipe.ts";

export const RUN_FILES = {
  recipe: "recipe.yaml",
  plan: "plan.json",
  timing: "timing.jsonl",
  /** What is answered, where the recipe's models answer. */
  prompts: "data/prompts.jsonl",
  train: "data/train.jsonl",
  /** Of the answers that are trained on. */
  card: "data/train-card.json",
  heldOut: "data/held-out.jsonl",
  leftOut: "data/left-out.json",
  gates: "evaluate/gates.json",
  report: "report.html",
  units: ".units",
  inputs: ".units/inputs.json",
  seen: ".units/timing.jsonl",
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
  /** Unique in the run; `evaluate/<evaluation>/<name>.json` holds its figures. */
  readonly name: string;
  readonly role: RunModelRole;
  /** The model folder: absolute for pivot and sources, relative to the run directory for what the run makes. */
  readonly folder: string;
  /** What its prompts are rendered with. */
  readonly template: TemplateSettings;
  /** Of a source that is computed by another engine than the rest of the recipe. */
  readonly engine?: EngineSettings;
  /** The source that a target was fused with. */
  readonly source?: string;
}

/** Every model of the run: pivot, sources, targets, fused, further merges, baselines. */
export function modelsOf(recipe: Recipe): RunModel[] {
  const template = templateOf(recipe, recipe.pivot);
  return [
    { name: recipe.pivot.name, role: "pivot", folder: recipe.pivot.model, template },
    ...recipe.sources.map(
      (source): RunModel => ({
        name: source.name,
        role: "source",
        folder: source.model,
        template: templateOf(recipe, source),
        ...(source.engine !== null && { engine: source.engine }),
      }),
    ),
    ...targetsOf(recipe).map(({ target }) => target),
    ...recipe.merge.map((merge, index) => mergedModelOf(recipe, merge, index)),
    ...baselinesOf(recipe),
  ];
}

/** What a model's prompts are rendered with; all models that a run makes are prompted as the pivot is. */
export function templateOf({ data }: Pick<Recipe, "data">, model: RecipeModel): TemplateSettings {
  const { template_name: name, template_variables: variables } = model;
  return { date: data.date, variables, ...(name === null ? {} : { name }) };
}

/** A model that is trained on distributions, and the sources that they are of. */
export interface Fusion {
  readonly target: RunModel;
  readonly sources: readonly RecipeModel[];
}

/** The targets: one a source, or one of all of them. */
export function targetsOf(recipe: Recipe): Fusion[] {
  const template = templateOf(recipe, recipe.pivot);
  const named = (name: string): RunModel => {
    return { name: `target-${name}`, role: "target", folder: join("targets", name), template };
  };
  if (recipe.fuse.sources === "together") return [{ target: named("together"), sources: recipe.sources }];
  return recipe.sources.map((source) => ({
    target: { ...named(source.name), source: source.name },
    sources: [source],
  }));
}

/** Baselines that sources teach too, the other way than the targets: all of them together (`multi`), or each by itself (`pairwise`). */
export function baselineFusionsOf(recipe: Recipe): Fusion[] {
  const template = templateOf(recipe, recipe.pivot);
  const named = (name: string): RunModel => ({ name, role: "baseline", folder: join("baselines", name), template });
  const fusions: Fusion[] = [];
  if (recipe.baselines.includes("multi")) fusions.push({ target: named("multi"), sources: recipe.sources });
  if (recipe.baselines.includes("pairwise")) {
    for (const source of recipe.sources) {
      fusions.push({ target: { ...named(`pair-${source.name}`), source: source.name }, sources: [source] });
    }
  }
  return fusions;
}

/** A merge of baselines: `sft-merge` of fine-tuning runs, `pairwise` of a target for each source. */
export interface BaselineMerge {
  readonly merge: RecipeMerge;
  readonly models: readonly RunModel[];
  readonly merged: RunModel;
}

/** As the papers merge, written like the recipe's own. */
const PAPERS_MERGE = { method: "sce", variant: "fusechat", select_topk: 0.1, weights: null, parameters: {} } as const;

export function baselineMergesOf(recipe: Recipe): BaselineMerge[] {
  const all = baselinesOf(recipe);
  const merged = (name: string): RunModel[] => all.filter((model) => model.name === name);
  const first = recipe.merge[0]!;
  const runs = fineTuningRunsOf(recipe);
  const papers: RecipeMerge = { ...PAPERS_MERGE, name: "pairwise", dtype: first.dtype };
  const pairs = baselineFusionsOf(recipe).flatMap(({ target }) => (target.source === undefined ? [] : [target]));
  return [
    ...merged("sft-merge").map((model) => ({
      // Of one run and one target a merge is that model, whatever the method.
      merge: pairs.length > 0 ? papers : first,
      models: all.filter(({ name }) => runs.includes(name)),
      merged: model,
    })),
    ...merged("pairwise").map((model) => ({ merge: papers, models: pairs, merged: model })),
  ];
}

/** The first merge is the fused model. */
export function mergedModelOf(recipe: Recipe, merge: RecipeMerge, index: number): RunModel {
  const template = templateOf(recipe, recipe.pivot);
  if (index === 0) return { name: "fused", role: "fused", folder: "fused", template };
  return { name: `merge-${merge.name}`, role: "merge", folder: join("merges", merge.name), template };
}

/** Plain fine-tuning runs and their merge, then what sources teach the other way than the targets. */
export function baselinesOf(recipe: Recipe): RunModel[] {
  const template = templateOf(recipe, recipe.pivot);
  const named = (name: string): RunModel => ({ name, role: "baseline", folder: join("baselines", name), template });
  const merge = (name: "sft-merge" | "pairwise"): RunModel[] => (recipe.baselines.includes(name) ? [named(name)] : []);
  return [
    ...fineTuningRunsOf(recipe).map(named),
    ...merge("sft-merge"),
    ...baselineFusionsOf(recipe).map(({ target }) => target),
    ...merge("pairwise"),
  ];
}

/** `sft`, and for `sft-merge` as many runs as targets are merged: `sft-2`, `sft-3`, each with another shuffle. */
export function fineTuningRunsOf(recipe: Recipe): string[] {
  const { baselines, sources } = recipe;
  const targets = baselines.includes("pairwise") ? sources.length : targetsOf(recipe).length;
  const runs = baselines.includes("sft-merge") ? targets : baselines.includes("sft") ? 1 : 0;
  return Array.from({ length: runs }, (_, index) => (index === 0 ? "sft" : `sft-${index + 1}`));
}

/** Words for several models at once, as an evaluation may be given them. */
const ROLE_WORDS: Table<RunModelRole> = tableOf({
  pivot: "pivot",
  sources: "source",
  targets: "target",
  merges: "merge",
  baselines: "baseline",
});

/** The models of a list that a word means: one by its name, else all of a role; none where it means nothing. */
export function modelsNamed(word: string, models: readonly RunModel[]): RunModel[] {
  const named = models.filter(({ name }) => name === word);
  if (named.length > 0) return named;
  return models.filter(({ role }) => role === ROLE_WORDS[word]);
}

/** Every word that `modelsNamed` knows. */
export function modelWords(models: readonly RunModel[]): string[] {
  return [...new Set([...models.map(({ name }) => name), ...Object.keys(ROLE_WORDS)])];
}

/**
 * The models of a run that an evaluation looks at, in the order of the run. Those that a server has write no answers here:
 * they are left out where answers are asked for, unless they are named.
 */
export function evaluatedModels(recipe: Recipe, { benchmark, models: words }: RecipeBenchmark): RunModel[] {
  const all = modelsOf(recipe);
  if (words === null) return readsAnswers(benchmark) ? all.filter((model) => !isServed(model)) : all;
  const chosen = words.flatMap((word) => modelsNamed(word, all));
  return all.filter((model) => chosen.includes(model));
}

export function distributionsFolder(model: string): string {
  return join("distributions", model);
}

export function alignedFolder(source: string): string {
  return join("aligned", source);
}

/** The folder of all evaluations. */
export const EVALUATION = "evaluate";

/** Files of that folder that are no comparison, so no evaluation may have their names. */
export const RESERVED_EVALUATIONS: readonly string[] = ["gates", "notes"];

/** A model's own result. `evaluation` is what the recipe calls it: mostly the benchmark's name. */
export function resultFile(evaluation: string, model: string): string {
  return join(EVALUATION, evaluation, `${model}.json`);
}

/** What a model answered and a judge said, kept so that nothing is asked twice. */
export function answersFolder(evaluation: string, model: string): string {
  return join(EVALUATION, evaluation, model);
}

/** All models of an evaluation side by side. */
export function comparisonFile(evaluation: string): string {
  return join(EVALUATION, `${evaluation}.json`);
}
