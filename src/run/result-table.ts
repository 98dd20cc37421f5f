/**
 * The outcome of a run for the terminal: a table of all models with intervals, and one statement for every comparison
 * that a reader would draw from it. A difference that chance could make is called that.
 */
import type { Comparison, Metric } from "../evaluate/benchmarks/benchmark.ts";
import type { ComparedModel, HeldOutComparison } from "../recipe/results.ts";

export function resultTable({ models, comparisons }: HeldOutComparison): string {
  const pivot = models.find(({ role }) => role === "pivot");
  const hasFloor = models.some(({ metrics }) => metrics.above_floor !== undefined);
  const header = ["model", "held-out nats per byte", ...(hasFloor ? ["above the floor"] : []), "against the pivot"];
  const rows = models.map((model) => [
    model.name,
    interval(model.metrics.nats_per_byte),
    ...(hasFloor ? [interval(model.metrics.above_floor)] : []),
    model === pivot
      ? ""
      : difference(comparisons.find(({ model: name, against }) => name === model.name && against === pivot?.name)),
  ]);
  const notes = models.filter(({ refused }) => refused > 0).map(refusalNote);
  const statements = comparisons.filter(({ model }) => model === "fused").map(statement);
  return [...columns([header, ...rows]), "", ...statements, ...notes, SCOPE].join("\n");
}

const SCOPE = "Intervals are 95 %, over the held-out conversations; they do not cover the draw of a training seed.";

/** `fused is better than target-qwen2 by 0.0123 [0.0101, 0.0145] nats per byte (p 0.0001)`. */
function statement({ model, against, metrics }: Comparison): string {
  const found = metrics.nats_per_byte;
  if (found === undefined) return `${model} and ${against} cannot be compared`;
  const { value, low, high, p, verdict } = found;
  if (verdict === "within noise") {
    return `${model} against ${against}: within noise, ${signed(value)} [${signed(low)}, ${signed(high)}] nats per byte (p ${p.toFixed(4)})`;
  }
  const [least, most] = [Math.abs(low), Math.abs(high)].sort((a, b) => a - b);
  return `${model} is ${verdict} than ${against} by ${figure(Math.abs(value))} [${figure(least!)}, ${figure(most!)}] nats per byte (p ${p.toFixed(4)})`;
}

function refusalNote({ name, refused, conversations }: ComparedModel): string {
  return `${name} was judged on ${conversations} conversations: its template refuses ${refused}.`;
}

function interval(metric: Metric | undefined): string {
  return metric === undefined ? "" : `${figure(metric.value)} [${figure(metric.low)}, ${figure(metric.high)}]`;
}

function difference(comparison: Comparison | undefined): string {
  const found = comparison?.metrics.nats_per_byte;
  return found === undefined
    ? ""
    : `${signed(found.value)} [${signed(found.low)}, ${signed(found.high)}] ${found.verdict}`;
}

function figure(value: number): string {
  return value.toFixed(4);
}

function signed(value: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(4)}`;
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
