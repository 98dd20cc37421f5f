/** A whole run: a recipe through the real stages, in its run directory. */
import { createEngine } from "../engine/index.ts";
import { inputError } from "../errors.ts";
import type { Hub } from "../models/hub.ts";
import type { LoadedRecipe } from "../recipe/load.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { silent } from "../reporter.ts";
import { withHubModels } from "./hub-models.ts";
import { type RunContext, type RunOptions, type RunSummary, runUnits } from "./runner.ts";
import { STAGES } from "./stages.ts";

export type { RunContext, RunOptions, RunSummary } from "./runner.ts";

/** What `loadRecipe` and `checkRecipe` return says how the recipe is written; a bare recipe needs `recipeText` too. */
export type RunRecipeOptions = Omit<RunOptions, "recipeText"> & Partial<Pick<RunOptions, "recipeText">>;

/**
 * Runs a recipe whose paths are found, from where an earlier run in the same directory stopped. Throws before anything
 * is written where the recipe, a model or the data is wrong. Without a reporter nothing is told on the way; without
 * `createEngine` the embedded engine computes; without `hub` models of the Hub are refused.
 */
export async function runRecipe(
  recipe: Recipe | LoadedRecipe,
  options: RunRecipeOptions,
  context: Partial<RunContext> & { readonly hub?: () => Promise<Hub> } = {},
): Promise<RunSummary> {
  const given = "recipe" in recipe ? fromLoaded(recipe, options) : fromBare(recipe, options);
  const { reporter = silent, hub } = context;
  const located = await withHubModels(given.recipe, given.options, { hub, reporter });
  return runUnits(
    located.recipe,
    { ...given.options, ...located.options },
    { createEngine, ...context, reporter },
    STAGES,
  );
}

interface Given {
  readonly recipe: Recipe;
  readonly options: RunOptions;
}

function fromLoaded({ recipe, text, file, where }: LoadedRecipe, options: RunRecipeOptions): Given {
  return { recipe, options: { recipeText: text, recipeFile: file, where, ...options } };
}

function fromBare(recipe: Recipe, { recipeText, ...options }: RunRecipeOptions): Given {
  if (recipeText !== undefined) return { recipe, options: { ...options, recipeText } };
  throw inputError(
    "runRecipe",
    "expected what loadRecipe or checkRecipe returned, or recipeText, found a recipe alone",
  );
}
