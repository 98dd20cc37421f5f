/**
 * How the recipe of a run may change while the run keeps what it has: a source, a merge, a benchmark or a gate may be
 * added. Whatever else differs is another run. Added is what the recipe of before does not name, and what is left
 * without it has to be that recipe.
 */
import { needsJudge } from "../recipe/judge.ts";
import { recipeDifference } from "../recipe/parse.ts";
import type { Recipe, RecipeModel } from "../recipe/recipe.ts";

export interface RecipeChange {
  /** What was added: `source qwen2`. */
  readonly added: readonly string[];
  /** The first key in which they differ otherwise, with both values; null where nothing else does. */
  readonly difference: { readonly key: string; readonly a: string; readonly b: string } | null;
}

export function changeOf(before: Recipe, now: Recipe): RecipeChange {
  const sources = split(now.sources, before.sources, nameOf);
  const merges = split(now.merge, before.merge, nameOf);
  const benchmarks = split(now.evaluate.benchmarks, before.evaluate.benchmarks, nameOf);
  const gates = split(now.evaluate.gates, before.evaluate.gates, (gate) => gate);
  const isNew = now.sources.map((source) => sources.added.includes(source));
  const withoutAdded: Recipe = {
    ...now,
    sources: sources.kept,
    merge: merges.kept.map((merge) => ({
      ...merge,
      // A weight for each source, in their order.
      weights:
        merge.weights?.length === isNew.length ? merge.weights.filter((_, index) => !isNew[index]) : merge.weights,
    })),
    evaluate: {
      ...now.evaluate,
      benchmarks: benchmarks.kept,
      gates: gates.kept,
      // The first benchmark that needs a judge brings one.
      judge: needsJudge(before) ? now.evaluate.judge : before.evaluate.judge,
    },
  };
  return {
    added: [
      ...sources.added.map(({ name }) => `source ${name}`),
      ...merges.added.map(({ name }) => `merge ${name}`),
      ...benchmarks.added.map(({ name }) => `benchmark ${name}`),
      ...gates.added.map((gate) => `gate ${gate}`),
    ],
    difference: recipeDifference(withoutMeans(before), withoutMeans(withoutAdded)),
  };
}

/** The members of a list that has grown, by whether they were in it before. A list that has not is kept as it is. */
function split<T>(
  now: readonly T[],
  before: readonly T[],
  keyOf: (member: T) => string,
): { readonly kept: readonly T[]; readonly added: readonly T[] } {
  if (now.length <= before.length) return { kept: now, added: [] };
  const known = new Set(before.map(keyOf));
  const kept = now.filter((member) => known.has(keyOf(member)));
  return { kept, added: now.filter((member) => !kept.includes(member)) };
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}

/**
 * How judges and servers are reached and what they may cost is no matter of results: a run goes on with a larger budget, and
 * where its server is another day.
 */
function withoutMeans(recipe: Recipe): unknown {
  const { benchmarks, judge, gates } = recipe.evaluate;
  const pivot = withoutAddress(recipe.pivot);
  const sources = recipe.sources.map(withoutAddress);
  return { ...recipe, pivot, sources, evaluate: { benchmarks, judge: { model: judge.model }, gates } };
}

function withoutAddress(model: RecipeModel): unknown {
  if (model.engine === null || !("url" in model.engine)) return model;
  const { kind, model: name } = model.engine;
  return { ...model, engine: { kind, model: name } };
}
