/**
 * What `evaluate/<name>.json` of a run holds: every model's figures on one benchmark side by side, and the paired
 * comparisons that a reader wants: each model against the pivot, and the fused model against every other model that
 * the run made.
 */
import type { Benchmark, BenchmarkResult, Comparison, Metric } from "../evaluate/benchmarks/benchmark.ts";
import { verdicts } from "../statistics/verdict.ts";
import type { RunModelRole } from "./layout.ts";

export interface ComparedModel {
  readonly name: string;
  /** `model`: one that belongs to no run. */
  readonly role: RunModelRole | "model";
  /** The source that a target was fused with. */
  readonly source?: string;
  /** Prompts that its headline figure rests on; of held-out: conversations. */
  readonly prompts: number;
  /** Prompts that the model's template refuses. */
  readonly refused: number;
  /** Answers, or judgments of them, in which no rule found what it looks for; what came back is in the model's result. */
  readonly unparsed: number;
  /** Answers without text, and answers that ran into the limit of tokens. */
  readonly empty: number;
  readonly cut: number;
  /** By the benchmark's names; `<metric>/<skill>` speaks of one skill. */
  readonly metrics: Readonly<Record<string, Metric>>;
}

export interface BenchmarkComparison {
  readonly benchmark: string;
  /** What the recipe calls this evaluation; the benchmark's own name where it says nothing. */
  readonly name: string;
  /** The benchmark's headline metric, and which way it is better. */
  readonly metric: string;
  readonly better: "less" | "more";
  /** The model that all others are compared with: in a run the pivot. */
  readonly reference: string | null;
  /** Of a run: pivot, sources, targets, fused, further merges, baselines. */
  readonly models: readonly ComparedModel[];
  /** `metrics` are differences `model - against`. */
  readonly comparisons: readonly Comparison[];
}

/** A model of the table, and its own result document. */
export interface EvaluatedModel {
  readonly name: string;
  readonly role: RunModelRole | "model";
  readonly source?: string;
  readonly result: BenchmarkResult;
}

/** Every model against `reference`, then `champion` against every other model; null compares with none. */
export function compareModels(
  benchmark: Benchmark,
  models: readonly EvaluatedModel[],
  against: { readonly name: string; readonly reference: string | null; readonly champion: string | null },
): BenchmarkComparison {
  const { name, reference, champion } = against;
  const first = models.find((model) => model.name === reference);
  const best = models.find((model) => model.name === champion);
  const comparisons: Comparison[] = [];
  for (const model of models) {
    if (first !== undefined && model !== first) comparisons.push(benchmark.compare(model.result, first.result));
  }
  for (const model of models) {
    if (best !== undefined && model !== first && model !== best)
      comparisons.push(benchmark.compare(best.result, model.result));
  }
  const metric = headline(
    benchmark,
    models.map(({ result }) => result),
  );
  return {
    benchmark: benchmark.name,
    name,
    metric,
    better: benchmark.better,
    reference: first?.name ?? null,
    models: models.map((model) => comparedModel(model, metric)),
    comparisons: withVerdicts(comparisons.map(withFigures), metric, benchmark.better),
  };
}

/** The benchmark's own, or the first where no model has that: not every file that it may need has to be given. */
export function headline({ metric }: Benchmark, results: readonly BenchmarkResult[]): string {
  const names = results.flatMap((result) => Object.keys(result.metrics));
  return names.includes(metric) ? metric : (names.find((name) => !name.includes("/")) ?? metric);
}

/**
 * Of many pairs some differ by chance alone: p of the metric is corrected for all the pairs, and verdicts go by that. No
 * other difference has a verdict: with a handful of skills or categories each, some of them would be by chance too.
 */
export function withVerdicts(
  comparisons: readonly Comparison[],
  metric: string,
  better: "less" | "more",
): Comparison[] {
  const pairs = comparisons.flatMap(({ metrics }) => metrics[metric] ?? []);
  const corrected = verdicts(pairs, better);
  return comparisons.map((comparison) => {
    const difference = comparison.metrics[metric];
    if (difference === undefined) return comparison;
    const found = { ...difference, ...corrected[pairs.indexOf(difference)]! };
    return { ...comparison, metrics: { ...comparison.metrics, [metric]: found } };
  });
}

/** Without differences that are no numbers: JSON has none, and a table has nothing to say of them. */
function withFigures(comparison: Comparison): Comparison {
  const there = Object.entries(comparison.metrics).filter(
    ([, metric]) => isFigure(metric) && Number.isFinite(metric.p),
  );
  return { ...comparison, metrics: Object.fromEntries(there) };
}

function isFigure({ value, low, high }: Metric): boolean {
  return [value, low, high].every(Number.isFinite);
}

/** Benchmarks have their own words for what went wrong, and count it or list it. */
function countIn(result: BenchmarkResult, words: readonly string[]): number {
  const fields = result as unknown as Readonly<Record<string, unknown>>;
  const found = words.map((word) => fields[word]).find((value) => value !== undefined);
  return Array.isArray(found) ? found.length : typeof found === "number" ? found : 0;
}

function comparedModel({ name, role, source, result }: EvaluatedModel, metric: string): ComparedModel {
  const { metrics } = result;
  return {
    name,
    role,
    ...(source === undefined ? {} : { source }),
    prompts: metrics[metric]?.prompts ?? 0,
    refused: countIn(result, ["refused"]),
    unparsed: countIn(result, ["unparsed", "unrated"]),
    empty: countIn(result, ["empty", "empty_answers", "empty_outputs"]),
    cut: countIn(result, ["cut", "cut_answers", "cut_outputs"]),
    metrics: Object.fromEntries(Object.entries(metrics).filter(([, figure]) => isFigure(figure))),
  };
}
