/**
 * The outcome of an evaluation for the terminal: a table of all models with intervals, and one statement for every
 * comparison that a reader would draw from it. A difference that chance could make is called that.
 */
import type { Comparison, Difference, Metric } from "../evaluate/benchmarks/benchmark.ts";
import type { BenchmarkComparison, ComparedModel } from "../recipe/results.ts";

export function resultTable(comparison: BenchmarkComparison): string {
  const { name, metric, models, comparisons, reference } = comparison;
  const unit = unitOf(comparison);
  // Those of single skills and categories stand in the files and the report.
  const whole = [...new Set(models.flatMap(({ metrics }) => Object.keys(metrics)))].filter((key) => !key.includes("/"));
  const others = whole.filter((key) => key !== metric);
  const title = unit === NATS ? `${name} nats per byte` : `${name} ${words(metric)}`;
  const against = (model: ComparedModel): string =>
    model.name === reference
      ? ""
      : difference(comparisons.find((one) => one.model === model.name && one.against === reference)?.metrics[metric]);
  const role = models.find((model) => model.name === reference)?.role;
  const header = [
    "model",
    title,
    ...others.map((key) => (key === "above_floor" ? "above the floor" : words(key))),
    ...(reference === null ? [] : [`against ${role === "pivot" ? "the pivot" : reference}`]),
  ];
  const rows = models.map((model) => [
    model.name,
    interval(model.metrics[metric]),
    ...others.map((key) => interval(model.metrics[key])),
    ...(reference === null ? [] : [against(model)]),
  ]);
  const champion = models.find((model) => model.role === "fused")?.name;
  const stated = champion === undefined ? comparisons : comparisons.filter(({ model }) => model === champion);
  const notes = models.flatMap((model) => notesOn(model, unit));
  const statements = stated.map((one) => statement(one, metric, unit));
  return [
    ...columns([header, ...rows]),
    "",
    ...statements,
    ...notes,
    ...detectableNote(comparisons, metric),
    scope(unit),
  ].join("\n");
}

const NATS = "nats/byte";

function unitOf({ models, metric }: BenchmarkComparison): string {
  return models.find(({ metrics }) => metrics[metric] !== undefined)?.metrics[metric]?.unit ?? "";
}

function scope(unit: string): string {
  const units = unit === NATS ? "held-out conversations" : "prompts";
  return `Intervals are 95 %, over the ${units}; they do not cover the draw of a training seed.`;
}

/** One comparison, metric by metric: what `evaluate` prints of a model and `--against`. */
export function comparisonLines({ model, against, prompts, metrics }: Comparison): string[] {
  const width = Math.max(0, ...Object.keys(metrics).map((name) => name.length));
  return [
    `${model} minus ${against}, on the ${prompts} prompts of both:`,
    ...Object.entries(metrics).map(([name, { value, low, high, p, unit, verdict }]) => {
      const range = `${signed(value, unit)} [${signed(low, unit)}, ${signed(high, unit)}]`;
      return `  ${name.padEnd(width)}  ${range} p ${p.toFixed(4)}${verdict === undefined ? "" : `  ${verdict}`}`;
    }),
  ];
}

/** `fused is better than target-qwen2 by 0.0123 [0.0101, 0.0145] nats per byte (p 0.0001)`. */
function statement({ model, against, metrics }: Comparison, metric: string, unit: string): string {
  const found = metrics[metric];
  if (found === undefined) return `${model} and ${against} cannot be compared`;
  const { value, low, high, p, p_adjusted: adjusted, verdict } = found;
  const unitWords = unit === NATS ? "nats per byte" : unit;
  const test = `(p ${p.toFixed(4)}${adjusted === undefined ? "" : `, ${adjusted.toFixed(4)} over the table`})`;
  if (verdict === "within noise" || verdict === undefined) {
    const range = `${signed(value, unit)} [${signed(low, unit)}, ${signed(high, unit)}]`;
    return `${model} against ${against}: within noise, ${range} ${unitWords} ${test}`;
  }
  const [least, most] = [Math.abs(low), Math.abs(high)].sort((a, b) => a - b);
  const range = `${figure(Math.abs(value), unit)} [${figure(least!, unit)}, ${figure(most!, unit)}]`;
  return `${model} is ${verdict} than ${against} by ${range} ${unitWords} ${test}`;
}

/** What a reader of a model's figures must know. */
function notesOn({ name, refused, prompts, unparsed, empty, cut }: ComparedModel, unit: string): string[] {
  const left =
    unit === NATS
      ? `${name} was judged on ${prompts} conversations: its template refuses ${refused}.`
      : `${name} could not be asked ${refused} prompts: its template refuses them, or its context is too short.`;
  const counts = [
    [unparsed, "could not be parsed"],
    [empty, "empty"],
    [cut, "cut at the limit of tokens"],
  ] as const;
  const found = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return [
    ...(refused > 0 ? [left] : []),
    ...(found.length > 0 ? [`${name}, answers and judgments: ${found.join(", ")}.`] : []),
  ];
}

/** A table that finds nothing should say how much it could have found. */
function detectableNote(comparisons: readonly Comparison[], metric: string): string[] {
  const found = comparisons.flatMap(({ metrics }) => metrics[metric] ?? []);
  const sizes = found.flatMap(({ detectable }) => (Number.isFinite(detectable) ? [detectable!] : []));
  if (sizes.length === 0) return [];
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const unit = found[0]!.unit;
  const range = least === most ? figure(most, unit) : `${figure(least, unit)} to ${figure(most, unit)}`;
  const pair = least === most ? "" : ", by the pair";
  const unitWords = unit === NATS ? "nats per byte" : unit;
  return [`The smallest difference that so many prompts find in four cases of five: ${range} ${unitWords}${pair}.`];
}

function interval(metric: Metric | undefined): string {
  if (metric === undefined) return "";
  const { value, low, high, unit } = metric;
  return `${figure(value, unit)} [${figure(low, unit)}, ${figure(high, unit)}]`;
}

function difference(found: Difference | undefined): string {
  if (found === undefined) return "";
  const { value, low, high, unit, verdict } = found;
  return `${signed(value, unit)} [${signed(low, unit)}, ${signed(high, unit)}] ${verdict ?? ""}`.trimEnd();
}

/** Four places of nats, two of percentages and scores: what the intervals allow. */
function figure(value: number, unit: string): string {
  return value.toFixed(unit.startsWith("nats") ? 4 : 2);
}

function signed(value: number, unit: string): string {
  return `${value < 0 ? "" : "+"}${figure(value, unit)}`;
}

function words(name: string): string {
  return name.replaceAll("_", " ");
}

/** Left-aligned columns, two spaces apart, a rule below the first row. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd();
  const [header, ...rest] = rows.map(line);
  return [header!, "-".repeat(widths.reduce((sum, width) => sum + width, 2 * (widths.length - 1))), ...rest];
}
