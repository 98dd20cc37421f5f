/** A recipe's gates: parsed by the names of its models and evaluations, and judged by what a run has measured. */
import { z } from "zod";
import { internalError } from "../errors.ts";
import type { Benchmark, BenchmarkResult } from "../evaluate/benchmarks/benchmark.ts";
import type { Gate, GateProblem, GateVocabulary } from "../evaluate/gates/gate.ts";
import { type GateOutcome, judgeGate } from "../evaluate/gates/judge.ts";
import { parseGates } from "../evaluate/gates/parse.ts";
import { benchmarkOf } from "./evaluation.ts";
import { evaluatedModels, modelsOf } from "./layout.ts";
import type { Recipe } from "./recipe.ts";

/** `evaluate/gates.json` of a run. */
export interface GatesDocument {
  readonly gates: readonly GateOutcome[];
}

/** As the file has it. */
export const gatesFile: z.ZodType<GatesDocument> = z.object({
  gates: z.array(
    z.object({
      gate: z.string(),
      met: z.boolean(),
      figures: z.string(),
      left: z.number().nullable(),
      right: z.number().nullable(),
      p: z.number().nullable(),
    }),
  ),
});

export function parseRecipeGates(recipe: Recipe): { gates: readonly Gate[]; problems: readonly GateProblem[] } {
  return parseGates(recipe.evaluate.gates, vocabularyOf(recipe));
}

/** Models by their names, and the pivot by its role. */
function vocabularyOf(recipe: Recipe): GateVocabulary {
  const models = modelsOf(recipe).map(({ name }) => ({ word: name, model: name }));
  const pivot = recipe.pivot.name;
  return {
    models: models.some(({ word }) => word === "pivot") ? models : [{ word: "pivot", model: pivot }, ...models],
    evaluations: recipe.evaluate.benchmarks.map((evaluation) => {
      const { metric, metrics } = benchmarkOf(evaluation.benchmark);
      return {
        name: evaluation.name,
        metric,
        ...(metrics === undefined ? {} : { metrics }),
        models: evaluatedModels(recipe, evaluation).map(({ name }) => name),
      };
    }),
  };
}

/** `resultOf`: a model's own result in an evaluation that the recipe asks for. */
export async function judgeRecipeGates(
  recipe: Recipe,
  resultOf: (evaluation: string, model: string) => Promise<BenchmarkResult>,
): Promise<GatesDocument> {
  const outcomes: GateOutcome[] = [];
  for (const gate of parseRecipeGates(recipe).gates) {
    const results = new Map<string, BenchmarkResult>();
    for (const term of [gate.left, gate.right]) {
      if (term.kind === "number") continue;
      results.set(`${term.evaluation}/${term.model}`, await resultOf(term.evaluation, term.model));
    }
    const result = (evaluation: string, model: string): BenchmarkResult => results.get(`${evaluation}/${model}`)!;
    outcomes.push(
      judgeGate(gate, {
        metrics: (evaluation, model) => result(evaluation, model).metrics,
        difference: (evaluation, metric, model, against) =>
          benchmarkIn(recipe, evaluation).compare(result(evaluation, model), result(evaluation, against)).metrics[
            metric
          ],
      }),
    );
  }
  return { gates: outcomes };
}

/** The benchmark of an evaluation that the recipe asks for. */
export function benchmarkIn(recipe: Recipe, evaluation: string): Benchmark {
  const found = recipe.evaluate.benchmarks.find(({ name }) => name === evaluation);
  if (found === undefined) throw internalError(`no evaluation ${evaluation}`);
  return benchmarkOf(found.benchmark);
}
