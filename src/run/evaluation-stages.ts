/** The evaluation's units of work: one model on one benchmark, all models side by side, and the recipe's gates. */

import { join } from "node:path";
import { z } from "zod";
import type { Benchmark, BenchmarkResult } from "../evaluate/benchmarks/benchmark.ts";
import { readWhole } from "../formats/checked-json.ts";
import { writeJson } from "../formats/files.ts";
import { benchmarkOf, MAX_LENGTH } from "../recipe/evaluation.ts";
import { evaluationRequest } from "../recipe/evaluation-request.ts";
import { benchmarkIn, judgeRecipeGates } from "../recipe/gates.ts";
import { comparisonFile, RUN_FILES, type RunModel, resultFile } from "../recipe/layout.ts";
import { compareModels, type EvaluatedModel } from "../recipe/results.ts";
import type { PerformContext } from "./runner.ts";
import { makeFolderOf, stageContext } from "./stage-context.ts";
import type { UnitWork } from "./units.ts";

type WorkOf<Kind extends UnitWork["kind"]> = Extract<UnitWork, { kind: Kind }>;

export async function evaluate({ evaluation, model }: WorkOf<"evaluate">, run: PerformContext): Promise<void> {
  const benchmark = benchmarkOf(evaluation.benchmark);
  const judge = benchmark.judged ? run.judge() : null;
  const request = evaluationRequest(run.recipe, evaluation, model, run.out, judge);
  const settings = { ...request.settings };
  const subject = request.subject;
  const context = await stageContext(run, model.engine);
  if (settings[MAX_LENGTH] !== undefined && subject?.kind === "folder") {
    const { maxPositions } = await context.engine.facts(subject.folder);
    settings[MAX_LENGTH] = Math.min(Number(settings[MAX_LENGTH]), maxPositions ?? Number.POSITIVE_INFINITY);
  }
  const path = join(run.out, resultFile(evaluation.name, model.name));
  await makeFolderOf(path);
  await writeJson(path, await benchmark.evaluate({ ...request, settings }, context));
}

/** Every model against the pivot, and the fused model against every other. */
export async function compare({ evaluation, models }: WorkOf<"compare">, run: PerformContext): Promise<void> {
  const evaluated: EvaluatedModel[] = [];
  for (const { name, role, source } of models) {
    const result = await readResult(run, evaluation.name, name);
    evaluated.push({ name, role, ...(source === undefined ? {} : { source }), result });
  }
  const nameOf = (role: RunModel["role"]): string | null => models.find((model) => model.role === role)?.name ?? null;
  const comparison = compareModels(benchmarkOf(evaluation.benchmark), evaluated, {
    name: evaluation.name,
    reference: nameOf("pivot"),
    champion: nameOf("fused"),
  });
  await writeJson(join(run.out, comparisonFile(evaluation.name)), comparison);
}

export async function judgeGates(run: PerformContext): Promise<void> {
  const document = await judgeRecipeGates(run.recipe, (evaluation, model) => readResult(run, evaluation, model));
  await writeJson(join(run.out, RUN_FILES.gates), document);
}

/** JSON has no word for a figure that is no number, and says null. */
const figure = z.number().nullable();

/** What every result has; the rest is its benchmark's. */
const benchmarkResult = z.looseObject({
  benchmark: z.string(),
  model: z.string(),
  metrics: z.record(z.string(), z.looseObject({ value: figure, low: figure, high: figure, unit: z.string() })),
});

async function readResult(
  { out, recipe }: PerformContext,
  evaluation: string,
  model: string,
): Promise<BenchmarkResult> {
  return readBenchmarkResult(join(out, resultFile(evaluation, model)), benchmarkIn(recipe, evaluation));
}

/** A result that a run wrote, as its benchmark compares it. */
export async function readBenchmarkResult(
  path: string,
  { compared }: Pick<Benchmark, "compared">,
): Promise<BenchmarkResult> {
  const schema = z.intersection(benchmarkResult, compared);
  return (await readWhole(path, schema, "the result of an evaluation")) as BenchmarkResult;
}
