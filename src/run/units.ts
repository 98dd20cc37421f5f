/**
 * A run as an ordered list of units of work. A unit owns its outputs, reads only the recipe's inputs and the outputs
 * of the units it names, and is done when its manifest says so; so a run can stop and go on between any two of them.
 * The list follows from the recipe alone. The report is no unit: it shows times, and every run writes it anew.
 */
import { basename } from "node:path";
import { answeringModels } from "../recipe/answers.ts";
import type { RecipeBenchmark } from "../recipe/evaluation.ts";
import {
  alignedFolder,
  baselineFusionsOf,
  baselineMergesOf,
  baselinesOf,
  comparisonFile,
  distributionsFolder,
  evaluatedModels,
  type Fusion,
  fineTuningRunsOf,
  mergedModelOf,
  RUN_FILES,
  type RunModel,
  resultFile,
  targetsOf,
} from "../recipe/layout.ts";
import type { Recipe, RecipeMerge, RecipeModel } from "../recipe/recipe.ts";

export type UnitWork =
  | { readonly kind: "data" }
  | { readonly kind: "answers"; readonly models: readonly RecipeModel[] }
  | { readonly kind: "distributions"; readonly model: RecipeModel; readonly isPivot: boolean }
  | { readonly kind: "align"; readonly source: RecipeModel }
  | { readonly kind: "fuse"; readonly sources: readonly RecipeModel[]; readonly target: RunModel }
  | { readonly kind: "fine-tune"; readonly target: RunModel; readonly seed: number }
  | {
      readonly kind: "merge";
      readonly merge: RecipeMerge;
      readonly models: readonly RunModel[];
      readonly merged: RunModel;
    }
  | { readonly kind: "evaluate"; readonly evaluation: RecipeBenchmark; readonly model: RunModel }
  | { readonly kind: "compare"; readonly evaluation: RecipeBenchmark; readonly models: readonly RunModel[] }
  | { readonly kind: "gates" };

export interface Unit {
  /** `fuse/qwen2`: unique in the run. */
  readonly id: string;
  readonly work: UnitWork;
  /** Units whose outputs this one reads. */
  readonly after: readonly string[];
  /** Files and folders that this unit alone writes, relative to the run directory. */
  readonly outputs: readonly string[];
  /** What of the recipe it follows, where that can grow and shows in no other unit. */
  readonly settings?: readonly string[];
}

export function unitsOf(recipe: Recipe): Unit[] {
  const { answers } = recipe.data;
  const asked = answers === null ? RUN_FILES.train : RUN_FILES.prompts;
  const units: Unit[] = [
    { id: "data", work: { kind: "data" }, after: [], outputs: [asked, RUN_FILES.heldOut, RUN_FILES.leftOut] },
  ];
  if (answers !== null) {
    units.push({
      id: "answers",
      work: { kind: "answers", models: answeringModels(recipe) },
      after: ["data"],
      outputs: [RUN_FILES.train, RUN_FILES.card],
    });
  }
  /** The unit that makes what models are trained on. */
  const training = answers === null ? "data" : "answers";
  for (const [index, model] of [recipe.pivot, ...recipe.sources].entries()) {
    units.push({
      id: `distributions/${model.name}`,
      work: { kind: "distributions", model, isPivot: index === 0 },
      after: [training],
      outputs: [distributionsFolder(model.name)],
    });
  }
  const pivotShards = `distributions/${recipe.pivot.name}`;
  for (const source of recipe.sources) {
    units.push({
      id: `align/${source.name}`,
      work: { kind: "align", source },
      after: [pivotShards, `distributions/${source.name}`],
      outputs: [alignedFolder(source.name)],
    });
  }
  for (const fusion of targetsOf(recipe)) {
    units.push(fusionUnit(fusionId(fusion), fusion, [training, pivotShards]));
  }
  units.push(...baselineTrainingUnits(recipe, training, pivotShards));
  for (const fusion of baselineFusionsOf(recipe)) {
    units.push(fusionUnit(`baseline/${fusion.target.name}`, fusion, [training, pivotShards]));
  }
  units.push(...mergeUnits(recipe));
  for (const evaluation of recipe.evaluate.benchmarks) units.push(...evaluationUnits(recipe, evaluation, units));
  if (recipe.evaluate.gates.length > 0) {
    const after = units.filter(({ work }) => work.kind === "evaluate").map(({ id }) => id);
    const settings = recipe.evaluate.gates;
    units.push({ id: "gates", work: { kind: "gates" }, after, outputs: [RUN_FILES.gates], settings });
  }
  return units;
}

/** `fuse/qwen2`, or of all sources `fuse/together`. */
function fusionId({ target }: Fusion): string {
  return `fuse/${basename(target.folder)}`;
}

function fusionUnit(id: string, { target, sources }: Fusion, before: readonly string[]): Unit {
  const own = sources.flatMap(({ name }) => [`distributions/${name}`, `align/${name}`]);
  return { id, work: { kind: "fuse", sources, target }, after: [...before, ...own], outputs: [target.folder] };
}

function baselineTrainingUnits(recipe: Recipe, training: string, pivotShards: string): Unit[] {
  const models = baselinesOf(recipe);
  return fineTuningRunsOf(recipe).map((name, index) => {
    const target = models.find((model) => model.name === name)!;
    // Another seed is another shuffle; without shuffling all the runs would be one.
    const work: UnitWork = { kind: "fine-tune", target, seed: recipe.seed + index };
    return { id: `fine-tune/${name}`, work, after: [training, pivotShards], outputs: [target.folder] };
  });
}

function mergeUnits(recipe: Recipe): Unit[] {
  const fusions = targetsOf(recipe);
  const units = recipe.merge.map((merge, index): Unit => {
    const merged = mergedModelOf(recipe, merge, index);
    const after = fusions.map(fusionId);
    return {
      id: `merge/${merged.name}`,
      work: { kind: "merge", merge, models: fusions.map(({ target }) => target), merged },
      after,
      outputs: [merged.folder],
    };
  });
  for (const { merge, models, merged } of baselineMergesOf(recipe)) {
    units.push({
      id: `merge/${merged.name}`,
      work: { kind: "merge", merge, models, merged },
      after: models.map(({ name, source }) => `${source === undefined ? "fine-tune" : "baseline"}/${name}`),
      outputs: [merged.folder],
    });
  }
  return units;
}

/**
 * Answers and judgments lie beside a model's result and are no output of its unit: each is kept under the hash of all
 * that it depends on, so one that fits is right whatever else has changed, and one is never asked for twice.
 */
function evaluationUnits(recipe: Recipe, evaluation: RecipeBenchmark, before: readonly Unit[]): Unit[] {
  const models = evaluatedModels(recipe, evaluation);
  const evaluations = models.map((model): Unit => {
    const maker = before.find(({ outputs }) => outputs.includes(model.folder));
    return {
      id: `evaluate/${evaluation.name}/${model.name}`,
      work: { kind: "evaluate", evaluation, model },
      after: maker === undefined ? ["data"] : ["data", maker.id],
      outputs: [resultFile(evaluation.name, model.name)],
    };
  });
  const compare: Unit = {
    id: `compare/${evaluation.name}`,
    work: { kind: "compare", evaluation, models },
    after: evaluations.map(({ id }) => id),
    outputs: [comparisonFile(evaluation.name)],
  };
  return [...evaluations, compare];
}
