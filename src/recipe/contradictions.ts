/**
 * What a schema cannot say of a recipe: names that clash, options that belong to another method, a split that leaves
 * nothing. Each check is a function from the recipe to its problems.
 */
import { SERVERS_GIVE_TOP } from "../distributions/collect.ts";
import { isServerKind } from "../engine/server/kinds/index.ts";
import { FusechatError } from "../errors.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { EVEN_SHARE_NEEDS_GAIN, GAIN_NEEDS_GROUPS, LORA_NEEDS_TORCH } from "../fuse/options.ts";
import { METHODS } from "../merge/methods/index.ts";
import { checkMergeConfig } from "../merge/read-config.ts";
import { answersProblems } from "./answers.ts";
import { foreignSettings, serverProblem, writeOutEngine } from "./engine-schema.ts";
import { readsHeldOut } from "./evaluation.ts";
import { evaluationProblems } from "./evaluation-problems.ts";
import { modelsOf, targetsOf } from "./layout.ts";
import { mergeConfigOf, takesWeights } from "./merge-config.ts";
import type { RecipeProblem } from "./problems.ts";
import type { Recipe, RecipeMerge } from "./recipe.ts";
import type { MergeFile, ModelReference, RecipeFile } from "./schema.ts";

/** `file` is what the recipe was written as: problems point into it. */
export function contradictions(recipe: Recipe, file: RecipeFile): RecipeProblem[] {
  return [
    ...modelNames(recipe, file),
    ...split(recipe),
    ...answersProblems(recipe),
    ...mergeOptions(recipe, file),
    ...mergeNames(recipe, file),
    ...engines(file),
    ...adapters(recipe),
    ...emphasis(recipe),
    ...evenShare(recipe),
    ...baselines(recipe),
    ...evaluationProblems(recipe, file),
  ];
}

/** Models name folders and files of a run: one name each, also where case does not count. */
function modelNames(recipe: Recipe, file: RecipeFile): RecipeProblem[] {
  const problems: RecipeProblem[] = [];
  const taken = new Map<string, string>();
  for (const { name, role } of modelsOf(recipe)) {
    if (role !== "pivot" && role !== "source") taken.set(name.toLowerCase(), "a model that the run makes");
  }
  for (const [index, { name }] of [recipe.pivot, ...recipe.sources].entries()) {
    const reference = index === 0 ? file.pivot : file.sources[index - 1]!;
    const path = namePath(index === 0 ? ["pivot"] : ["sources", index - 1], reference);
    const other = taken.get(name.toLowerCase());
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) {
      const found = `the folder's name ${JSON.stringify(name)} cannot name a model`;
      problems.push({ path, message: `${found}; give it one: { model: …, name: … }` });
    } else if (other !== undefined) {
      const found = `the name "${name}" is already that of ${other}`;
      problems.push({ path, message: `${found}; give it one of its own: { model: …, name: … }` });
    } else taken.set(name.toLowerCase(), index === 0 ? "the pivot" : `sources[${index - 1}]`);
  }
  return problems;
}

function engines(file: RecipeFile): RecipeProblem[] {
  const models = [file.pivot, ...file.sources].map((reference, index) => ({
    engine: typeof reference === "string" ? undefined : reference.engine,
    path: index === 0 ? ["pivot", "engine"] : ["sources", index - 1, "engine"],
  }));
  return [...models, { engine: file.engine, path: ["engine"] }].flatMap(({ engine, path }): RecipeProblem[] => {
    if (engine === undefined) return [];
    if (file.distributions.rows === "sampled" && isServerKind(writeOutEngine(engine).kind)) {
      return [{ path, message: SERVERS_GIVE_TOP.replace("take rows", "take distributions.rows") }];
    }
    const foreign = foreignSettings(engine).map(({ key, message }) => ({ path: [...path, key], key: true, message }));
    const message = serverProblem(engine, file.distributions.top_k, path[0] === "engine");
    return message === null ? foreign : [...foreign, { path, message }];
  });
}

function adapters({ fuse, engine }: Recipe): RecipeProblem[] {
  if (fuse.lora === undefined || engine.kind === "torch") return [];
  return [{ path: ["fuse", "lora"], key: true, message: LORA_NEEDS_TORCH }];
}

function emphasis({ fuse }: Recipe): RecipeProblem[] {
  if (fuse.emphasis === "even" || (fuse.level === "group" && fuse.shuffle)) return [];
  return [{ path: ["fuse", "emphasis"], message: GAIN_NEEDS_GROUPS }];
}

function evenShare({ fuse }: Recipe): RecipeProblem[] {
  if (fuse.even_share === undefined || fuse.emphasis === "gain") return [];
  return [{ path: ["fuse", "even_share"], key: true, message: EVEN_SHARE_NEEDS_GAIN }];
}

/** The way that makes the targets is no baseline beside itself. */
function baselines({ baselines: given, fuse }: Recipe): RecipeProblem[] {
  const same = fuse.sources === "together" ? "multi" : "pairwise";
  const index = given.indexOf(same);
  if (index < 0) return [];
  const made = same === "multi" ? "the target is that very model" : "the targets and their merge are those very models";
  return [{ path: ["baselines", index], message: `with fuse.sources: ${fuse.sources} ${made}; leave ${same} out` }];
}

/** Where the name of a model comes from. */
function namePath(path: KeyPath, reference: ModelReference): KeyPath {
  if (typeof reference === "string") return path;
  return [...path, reference.name === undefined ? "model" : "name"];
}

function split({ data, evaluate }: Recipe): RecipeProblem[] {
  if (data.held_out > 0 || data.held_out_path !== null || !evaluate.benchmarks.some(readsHeldOut)) return [];
  const message =
    "expected more than 0, found 0: nothing would be left to evaluate on; give held_out_path, or set evaluate: []";
  return [{ path: ["data", "held_out"], message }];
}

function mergeOptions(recipe: Recipe, file: RecipeFile): RecipeProblem[] {
  return mergesOf(recipe, file).flatMap(({ merge, given, path }) => {
    const method = METHODS.find(({ name }) => name === merge.method)!;
    const problems: RecipeProblem[] = [];
    for (const option of ["variant", "select_topk"] as const) {
      if (given[option] === undefined || option in method.options.shape) continue;
      problems.push({ path: [...path, option], message: `${merge.method} has no such option; leave it out` });
    }
    const targets = targetsOf(recipe).length;
    if (merge.weights !== null && !takesWeights(method)) {
      const message = `${merge.method} finds the weights of the targets itself; leave them out`;
      problems.push({ path: [...path, "weights"], message });
    } else if (merge.weights !== null && merge.weights.length !== targets) {
      const expected = `expected a weight for each ${recipe.fuse.sources === "together" ? "target" : "source"}, ${targets} in all`;
      problems.push({ path: [...path, "weights"], message: `${expected}, found ${merge.weights.length}` });
    }
    for (const message of refusals(merge, recipe)) problems.push({ path: [...path, "parameters"], message });
    return problems;
  });
}

/** What the method itself says of its options. */
function refusals(merge: RecipeMerge, recipe: Recipe): string[] {
  const models = targetsOf(recipe).map(({ target }) => target.folder);
  const folders = { pivot: `pivot/${recipe.pivot.name}`, models };
  try {
    checkMergeConfig(mergeConfigOf(merge, folders, "float32"), merge.method);
    return [];
  } catch (error) {
    if (!(error instanceof FusechatError)) throw error;
    return error.message.split("\n");
  }
}

function mergeNames(recipe: Recipe, file: RecipeFile): RecipeProblem[] {
  const problems: RecipeProblem[] = [];
  const seen = new Set<string>();
  for (const { merge, path } of mergesOf(recipe, file)) {
    if (seen.has(merge.name.toLowerCase())) {
      problems.push({ path, message: `the merge "${merge.name}" is there twice; give one of them another name` });
    }
    seen.add(merge.name.toLowerCase());
  }
  return problems;
}

/** The merges with what was written of each, and where. */
function mergesOf(recipe: Recipe, file: RecipeFile): { merge: RecipeMerge; given: MergeFile; path: KeyPath }[] {
  return recipe.merge.map((merge, index) =>
    Array.isArray(file.merge)
      ? { merge, given: file.merge[index]!, path: ["merge", index] }
      : { merge, given: file.merge, path: ["merge"] },
  );
}
