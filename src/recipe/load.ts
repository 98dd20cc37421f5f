/**
 * A recipe from its file, with every path found: beside the recipe first, then from the current folder. All problems
 * come in one error, those of the text and those of missing files alike.
 */
import { stat } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { filesOfData } from "../data/containers/index.ts";
import { isPattern, matchingPaths } from "../data/containers/pattern.ts";
import { FusechatError, inputErrors } from "../errors.ts";
import { BENCHMARKS } from "../evaluate/benchmarks/index.ts";
import { exists, readText } from "../formats/files.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { parseHubId } from "../hub/id.ts";
import { DATA } from "./evaluation.ts";
import { attemptRecipe, type ParsedRecipe, type RecipeAttempt } from "./parse.ts";
import type { Recipe } from "./recipe.ts";

export interface LoadedRecipe extends ParsedRecipe {
  /** The file's text, as it is kept with a run. */
  readonly text: string;
  /** The file, as the user called it. */
  readonly file: string;
}

/** Reads `file`; models and data of the recipe it returns are absolute paths that exist, or ids of the Hub. */
export async function loadRecipe(file: string): Promise<LoadedRecipe> {
  return (await loadForPlan(file, false)).loaded;
}

/** The same, but that data need not be there whose `size` the recipe states. */
export async function loadForPlan(
  file: string,
  mayLackData = true,
): Promise<{ readonly loaded: LoadedRecipe; readonly lacksData: boolean }> {
  const text = await readText(file);
  const attempt = attemptRecipe(text, file);
  const isStated = mayLackData && attempt.parsed?.recipe.data.size !== undefined;
  return findReferences(text, file, attempt, dirname(resolve(file)), isStated);
}

/**
 * The same of a recipe that is no file: `value` is what its YAML would say. Relative paths are looked up in the current
 * folder, and `where` stands for the file in messages.
 */
export async function checkRecipe(value: unknown, where = "recipe"): Promise<LoadedRecipe> {
  const text = `${JSON.stringify(value ?? null, null, 2)}\n`;
  return (await findReferences(text, where, attemptRecipe(text, where, false), resolve())).loaded;
}

async function findReferences(
  text: string,
  file: string,
  attempt: RecipeAttempt,
  folder: string,
  mayLackData = false,
): Promise<{ readonly loaded: LoadedRecipe; readonly lacksData: boolean }> {
  let lacksData = false;
  const references = referencesOf(attempt.raw);
  const found = new Map<string, string>();
  const problems = [...attempt.problems];
  for (const { path, value, kind } of references) {
    const place = await (kind === "data" ? findData : findPath)(value, folder);
    const isLacking = mayLackData && path[0] === "data" && place.found === null;
    lacksData ||= isLacking;
    const problem = isLacking ? null : await PROBLEMS[kind](value, place);
    if (problem !== null) problems.push(`${attempt.where(path)}: ${problem}`);
    if (place.found !== null) found.set(value, place.found);
  }
  if (attempt.parsed === null || problems.length > 0) throw inputErrors(problems);
  const { recipe, where } = attempt.parsed;
  const loaded = { recipe: withPaths(recipe, (value) => found.get(value) ?? value), where, text, file };
  return { loaded, lacksData };
}

function withPaths(recipe: Recipe, absolute: (value: string) => string): Recipe {
  const { data, evaluate } = recipe;
  return {
    ...recipe,
    pivot: { ...recipe.pivot, model: absolute(recipe.pivot.model) },
    sources: recipe.sources.map((source) => ({ ...source, model: absolute(source.model) })),
    data: {
      ...data,
      path: data.path.map(absolute),
      held_out_path: data.held_out_path === null ? null : data.held_out_path.map(absolute),
    },
    evaluate: {
      ...evaluate,
      benchmarks: evaluate.benchmarks.map((entry) => ({
        ...entry,
        settings: Object.fromEntries(
          Object.entries(entry.settings).map(([name, value]) => [
            name,
            typeof value === "string" && isPath(entry.benchmark, name) ? absolute(value) : value,
          ]),
        ),
      })),
    },
  };
}

interface Reference {
  readonly path: KeyPath;
  readonly value: string;
  readonly kind: "model" | "data" | "file";
}

/** The paths in a recipe, found by position alone: they are checked even where the recipe has other mistakes. */
function referencesOf(raw: unknown): Reference[] {
  const references: Reference[] = [];
  const add = (path: KeyPath, value: unknown, kind: Reference["kind"]): void => {
    if (typeof value === "string" && value !== "") references.push({ path, value, kind });
  };
  const addModel = (path: KeyPath, value: unknown): void => {
    add(path, value, "model");
    add([...path, "model"], field(value, "model"), "model");
  };
  const addData = (path: KeyPath, value: unknown): void => {
    add(path, value, "data");
    if (Array.isArray(value)) for (const [index, entry] of value.entries()) add([...path, index], entry, "data");
  };
  addModel(["pivot"], field(raw, "pivot"));
  const sources = field(raw, "sources");
  if (Array.isArray(sources)) for (const [index, source] of sources.entries()) addModel(["sources", index], source);
  const data = field(raw, "data");
  addData(["data", "path"], field(data, "path"));
  addData(["data", "held_out_path"], field(data, "held_out_path"));
  const evaluate = field(raw, "evaluate");
  const [entries, place] = Array.isArray(evaluate)
    ? [evaluate, ["evaluate"]]
    : [field(evaluate, "benchmarks"), ["evaluate", "benchmarks"]];
  for (const [index, entry] of (Array.isArray(entries) ? entries : []).entries()) {
    const benchmark = String(field(entry, "benchmark"));
    for (const key of typeof entry === "object" && entry !== null ? Object.keys(entry) : []) {
      if (isPath(benchmark, key)) add([...place, index, key], field(entry, key), key === DATA ? "data" : "file");
    }
  }
  return references;
}

/** True where a setting of a benchmark is a path. */
function isPath(benchmark: string, setting: string): boolean {
  const found = BENCHMARKS.find(({ name }) => name === benchmark);
  return found?.options.some(({ name, kind }) => name === setting && kind === "path") === true;
}

function field(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return (value as Record<string, unknown>)[key];
}

interface Place {
  /** Absolute, or null where there is nothing. */
  readonly found: string | null;
  readonly tried: readonly string[];
}

async function findPath(value: string, folder: string): Promise<Place> {
  const tried = isAbsolute(value) ? [value] : [...new Set([join(folder, value), resolve(value)])];
  for (const path of tried) if (await exists(path)) return { found: resolve(path), tried };
  return { found: null, tried };
}

/** Like `findPath`; a pattern is found where a file fits it. */
async function findData(value: string, folder: string): Promise<Place> {
  const place = await findPath(value, folder);
  if (place.found !== null || !isPattern(value)) return place;
  for (const path of place.tried) if ((await matchingPaths(path)).length > 0) return { ...place, found: resolve(path) };
  return place;
}

async function modelProblem(value: string, { found, tried }: Place): Promise<string | null> {
  if (found === null && parseHubId(value) !== undefined) return null;
  if (found === null) return `expected a model folder, found nothing at ${tried.join(" or ")}`;
  if (!(await stat(found)).isDirectory()) return `expected a model folder, found a file: ${found}`;
  if (!(await exists(join(found, "config.json")))) return `expected a model folder, found no config.json in ${found}`;
  return null;
}

const PROBLEMS: Readonly<Record<Reference["kind"], (value: string, place: Place) => Promise<string | null>>> = {
  model: modelProblem,
  data: dataProblem,
  file: async (_, { found, tried }) =>
    found === null ? `expected a file, found nothing at ${tried.join(" or ")}` : null,
};

async function dataProblem(_: string, { found, tried }: Place): Promise<string | null> {
  if (found === null)
    return `expected conversations (a file, a folder or a pattern), found nothing at ${tried.join(" or ")}`;
  try {
    await filesOfData(found);
    return null;
  } catch (error) {
    if (error instanceof FusechatError && error.code === "input") return error.message;
    throw error;
  }
}
