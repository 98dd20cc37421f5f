/**
 * A recipe from its text: YAML, schema, what a schema cannot say, then every default written out. No file is touched;
 * `load.ts` finds those a recipe names.
 */
import { recommendedTransfer } from "../align/recommended.ts";
import { alphaOf } from "../engine/lora.ts";
import { inputErrors } from "../errors.ts";
import { type KeyPath, parseYaml } from "../formats/yaml.ts";
import { ownNameOf } from "../hub/id.ts";
import { writeOutAnswers } from "./answers-schema.ts";
import { contradictions } from "./contradictions.ts";
import { writeOutEngine } from "./engine-schema.ts";
import { writeOutEvaluation } from "./evaluation.ts";
import { describeIssues, pathText, type RecipeProblem } from "./problems.ts";
import type { Recipe, RecipeMerge, RecipeModel } from "./recipe.ts";
import { type MergeFile, type ModelReference, type RecipeFile, recipeSchema } from "./schema.ts";

export interface ParsedRecipe {
  readonly recipe: Recipe;
  /** `recipe.yaml:12:5 data.path`, for problems found later. */
  where(path: KeyPath): string;
}

/** Reads a recipe from its text. `file` is how it is called in messages. Throws one error that lists all problems. */
export function parseRecipe(text: string, file: string): ParsedRecipe {
  const attempt = attemptRecipe(text, file);
  if (attempt.parsed === null) throw inputErrors(attempt.problems);
  return attempt.parsed;
}

/** What `parseRecipe` found: problems, or a recipe; and the raw value, so that files can be checked all the same. */
export interface RecipeAttempt {
  readonly parsed: ParsedRecipe | null;
  readonly problems: readonly string[];
  readonly raw: unknown;
  where(path: KeyPath, key?: boolean): string;
}

/** Without `lines` the text is not the user's, and messages name keys alone. */
export function attemptRecipe(text: string, file: string, lines = true): RecipeAttempt {
  const document = parseYaml(text);
  const where = (given: KeyPath, key = false): string => {
    const path = placeOfEntry(given, document.value);
    const place = lines ? `${file}:${document.place(path, key ? "key" : "value")}` : file;
    return path.length === 0 ? place : `${place} ${pathText(path)}`;
  };
  const failed = (problems: readonly string[]): RecipeAttempt => ({
    parsed: null,
    problems,
    raw: document.value,
    where,
  });
  if (document.problems.length > 0) {
    return failed(document.problems.map(({ place, message }) => `${file}:${place}: ${message}`));
  }
  if (document.value === null || document.value === undefined) {
    return failed([`${file}: expected a recipe with pivot, sources and data, found nothing; fusechat init writes one`]);
  }
  const result = recipeSchema.safeParse(document.value, { reportInput: true });
  const tell = (problems: readonly RecipeProblem[]): string[] =>
    problems
      .map(({ path, key, message }) => ({
        line: `${where(path, key)}: ${message}`,
        place: document.place(path, key ? "key" : "value"),
      }))
      .sort((a, b) => placeOrder(a.place) - placeOrder(b.place))
      .map(({ line }) => line);
  if (!result.success) return failed(tell(describeIssues(result.error.issues, recipeSchema)));
  const recipe = writeOut(result.data);
  const problems = contradictions(recipe, result.data);
  if (problems.length > 0) return failed(tell(problems));
  return { parsed: { recipe, where }, problems: [], raw: document.value, where };
}

/** Benchmarks stand below `evaluate.benchmarks`, or in the short form below `evaluate` itself. */
function placeOfEntry(path: KeyPath, raw: unknown): KeyPath {
  const isShort = Array.isArray((raw as { evaluate?: unknown } | null | undefined)?.evaluate);
  const [section, list, ...rest] = path;
  return section === "evaluate" && list === "benchmarks" && isShort ? [section, ...rest] : path;
}

/** Places in the order of the file; a recipe has no line of a million characters. */
function placeOrder(place: string): number {
  const [line, column] = place.split(":").map(Number);
  return line! * 1e6 + column!;
}

function writeOut(file: RecipeFile): Recipe {
  const variables = file.data.template_variables;
  const merges = Array.isArray(file.merge) ? file.merge : [file.merge];
  const recommended = recommendedTransfer(file.align.vocabulary);
  const list = (paths: string | string[]): readonly string[] => (Array.isArray(paths) ? paths : [paths]);
  const sources = file.sources.map((source) => namedModel(source, variables));
  return {
    pivot: namedModel(file.pivot, variables),
    sources,
    data: {
      path: list(file.data.path),
      max_length: file.data.max_length,
      date: file.data.date,
      irregular: file.data.irregular,
      held_out: file.data.held_out,
      held_out_path: file.data.held_out_path === undefined ? null : list(file.data.held_out_path),
      ...(file.data.size !== undefined && { size: file.data.size }),
      answers:
        file.data.answers === undefined
          ? null
          : writeOutAnswers(
              file.data.answers,
              sources.map(({ name }) => name),
            ),
    },
    distributions: file.distributions,
    align: {
      sequence: file.align.sequence,
      vocabulary: file.align.vocabulary,
      label_mass: file.align.label_mass ?? recommended.labelMass,
      divide: file.align.divide ?? recommended.divide,
      within: file.align.within ?? recommended.within,
      unshared: file.align.unshared,
      width: file.align.width ?? 2 * file.distributions.top_k,
    },
    fuse: writeOutFuse(file.fuse),
    merge: merges.map((merge, index) => writeOutMerge(merge, index, file.fuse.sources)),
    baselines: file.baselines,
    evaluate: writeOutEvaluation(file.evaluate, file.data),
    seed: file.seed,
    engine: writeOutEngine(file.engine),
  };
}

function namedModel(reference: ModelReference, variables: RecipeModel["template_variables"]): RecipeModel {
  const given = typeof reference === "string" ? { model: reference } : reference;
  return {
    name: given.name ?? ownNameOf(given.model),
    model: given.model,
    template_name: given.template_name ?? null,
    template_variables: { ...variables, ...given.template_variables },
    engine: given.engine === undefined ? null : writeOutEngine(given.engine),
  };
}

function writeOutMerge(merge: MergeFile, index: number, sources: RecipeFile["fuse"]["sources"]): RecipeMerge {
  // The mean of one target is that target.
  const method = merge.method ?? (sources === "together" ? "linear" : "sce");
  const isSce = method === "sce";
  const variant = merge.variant ?? (isSce ? "fusechat" : null);
  const ownName = isSce && variant !== "fusechat" ? `${method}-${variant}` : method;
  return {
    name: index === 0 ? "fused" : (merge.name ?? ownName),
    method,
    variant,
    select_topk: merge.select_topk ?? (isSce ? 0.1 : null),
    weights: merge.weights ?? null,
    parameters: merge.parameters ?? {},
    dtype: merge.dtype ?? null,
  };
}

/** The first key in which two recipes differ, with both values, or null where they are the same. */
export function recipeDifference(
  a: unknown,
  b: unknown,
  path: KeyPath = [],
): { key: string; a: string; b: string } | null {
  if (isTree(a) && isTree(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const step = Array.isArray(a) ? Number(key) : key;
      const found = recipeDifference(a[key], b[key], [...path, step]);
      if (found !== null) return found;
    }
    return null;
  }
  if (Object.is(a, b)) return null;
  const text = (value: unknown): string => (value === undefined || value === null ? "nothing" : JSON.stringify(value));
  return { key: pathText(path), a: text(a), b: text(b) };
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Without adapters there is no key of theirs. */
function writeOutFuse({ lora, ...fuse }: RecipeFile["fuse"]): Recipe["fuse"] {
  return lora === undefined ? fuse : { ...fuse, lora: { ...lora, alpha: lora.alpha ?? alphaOf(lora.rank) } };
}
