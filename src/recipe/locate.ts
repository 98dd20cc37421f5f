/** The models of a recipe that are on the Hub, as folders. */
import { isAbsolute } from "node:path";
import { FusechatError, inputErrors } from "../errors.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { type HubId, hubNameOf, parseHubId } from "../hub/id.ts";
import { NoSuchModel, NoSuchRevision } from "../hub/refusal.ts";
import type { HubFolder } from "../models/reference.ts";
import { pathText } from "./problems.ts";
import { isServed, type Recipe, type RecipeModel } from "./recipe.ts";

/** The id of a model that is on the Hub; undefined of one that was found as a folder. */
export function hubIdOf({ model }: RecipeModel): HubId | undefined {
  return isAbsolute(model) ? undefined : parseHubId(model);
}

/** All of them whose weights are needed, in the order of the recipe. */
export function hubIdsOf({ pivot, sources }: Recipe): readonly HubId[] {
  return [pivot, ...sources.filter((source) => !isServed(source))].flatMap((model) => hubIdOf(model) ?? []);
}

/** Folders of models: with the weights or their headers, and without. */
export interface HubFolders {
  readonly whole: HubFolder;
  readonly text: HubFolder;
}

/**
 * A recipe whose paths are found, with a folder for every model; what is wrong with several is told together. `text` gives
 * those of models that a server has, whose weights are not needed.
 */
export async function locateModels(
  recipe: Recipe,
  { whole, text }: HubFolders,
  where: (path: KeyPath) => string = pathText,
): Promise<Recipe> {
  const problems: string[] = [];
  const locate = async (model: RecipeModel, path: KeyPath, hub: HubFolder): Promise<RecipeModel> => {
    const id = hubIdOf(model);
    if (id === undefined) return withHubName(model, model.model);
    try {
      return withHubName(model, await hub(id));
    } catch (error) {
      if (!(error instanceof FusechatError) || error.code !== "input") throw error;
      problems.push(`${where(path)}: ${error.message}`);
      return model;
    }
  };
  const pivot = await locate(recipe.pivot, ["pivot"], whole);
  const sources: RecipeModel[] = [];
  for (const [index, source] of recipe.sources.entries()) {
    sources.push(await locate(source, ["sources", index], isServed(source) ? text : whole));
  }
  if (problems.length > 0) throw inputErrors(problems);
  return { ...recipe, pivot, sources };
}

/** A model of the Hub of which nothing could be read. */
export interface UnreadModel {
  readonly name: string;
  /** Its id. */
  readonly model: string;
  readonly because: string;
}

/**
 * As `locateModels`; models of the Hub that cannot be read keep their id, and are told. One that the Hub does not have is
 * wrong all the same.
 */
export async function locateKnownModels(
  recipe: Recipe,
  { whole, text }: HubFolders,
  where: (path: KeyPath) => string = pathText,
): Promise<{ readonly recipe: Recipe; readonly unread: readonly UnreadModel[] }> {
  const unread: UnreadModel[] = [];
  const problems: string[] = [];
  const locate = async (model: RecipeModel, path: KeyPath, hub: HubFolder): Promise<RecipeModel> => {
    const id = hubIdOf(model);
    if (id === undefined) return withHubName(model, model.model);
    try {
      return withHubName(model, await hub(id));
    } catch (error) {
      if (!(error instanceof FusechatError) || !["input", "failed"].includes(error.code)) throw error;
      if (error instanceof NoSuchModel || error instanceof NoSuchRevision) {
        problems.push(`${where(path)}: ${error.message}`);
      } else unread.push({ name: model.name, model: model.model, because: error.message });
      return model;
    }
  };
  const pivot = await locate(recipe.pivot, ["pivot"], whole);
  const sources: RecipeModel[] = [];
  for (const [index, source] of recipe.sources.entries()) {
    sources.push(await locate(source, ["sources", index], isServed(source) ? text : whole));
  }
  if (problems.length > 0) throw inputErrors(problems);
  return { recipe: { ...recipe, pivot, sources }, unread };
}

function withHubName(model: RecipeModel, folder: string): RecipeModel {
  const hub = hubNameOf(folder);
  return { ...model, model: folder, ...(hub === undefined ? {} : { hub }) };
}
