/** A whole run: a recipe through the real stages, in its run directory. */
import type { Recipe } from "../recipe/recipe.ts";
import { type RunContext, type RunOptions, type RunSummary, runUnits } from "./runner.ts";
import { STAGES } from "./stages.ts";

export type { RunContext, RunOptions, RunSummary } from "./runner.ts";

/**
 * Runs a recipe whose paths are found (`loadRecipe`), from where an earlier run in the same directory stopped. Throws
 * before anything is written where the recipe, a model or the data is wrong.
 */
export async function runRecipe(recipe: Recipe, options: RunOptions, context: RunContext): Promise<RunSummary> {
  return runUnits(recipe, options, context, STAGES);
}
