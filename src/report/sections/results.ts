/**
 * Every evaluated model with its intervals, as a chart and as a table, a block for each benchmark: its figures, its
 * paired difference from the pivot, and whether that is better, worse or within noise.
 */
import { type IntervalRow, intervalChart } from "../charts/interval-chart.ts";
import { count, figure, pValue, signedFigure, words } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { BenchmarkComparison, ComparedModel, Comparison, Difference, Metric } from "../run-documents.ts";
import type { Section } from "./section.ts";

export const results: Section = {
  id: "results",
  title: "Results of every model",
  render: ({ benchmarks }) => {
    const shown = benchmarks.filter(({ models }) => models.length > 0);
    return shown.length === 0 ? undefined : html`${shown.map(block)}`;
  },
};

function block(comparison: BenchmarkComparison): Markup {
  const { name, metric, better, models, reference } = comparison;
  const value = models.find((model) => model.name === reference)?.metrics[metric]?.value;
  const rows = models.flatMap((model) => intervalRow(model, metric));
  const direction = `${better} is better`;
  return html`<h3>${name}: ${words(metric)}, ${direction}</h3>${intervalChart({
    title: `${name}: ${words(metric)} of every model`,
    rows,
    unit: `${words(metric)}, ${direction}${value === undefined ? "" : `; the dashed line is ${reference}`}`,
    ...(value !== undefined && { reference: value }),
  })}${table(comparison)}`;
}

function intervalRow({ name, role, metrics }: ComparedModel, key: string): IntervalRow[] {
  const metric = metrics[key];
  if (metric === undefined) return [];
  const { value, low, high, unit } = metric;
  const title = `${name}: ${figure(value, unit)} [${figure(low, unit)}, ${figure(high, unit)}]`;
  return [{ label: name, kind: role, value, low, high, title }];
}

function table({ models, comparisons, metric, reference }: BenchmarkComparison): Markup {
  // Those of single skills and categories have tables of their own.
  const whole = [...new Set(models.flatMap(({ metrics }) => Object.keys(metrics)))].filter((key) => !key.includes("/"));
  const keys = [metric, ...whole.filter((key) => key !== metric)];
  const against = (model: ComparedModel): Comparison | undefined =>
    comparisons.find((comparison) => comparison.model === model.name && comparison.against === reference);
  return html`<div class="scroll"><table><thead><tr><th>model</th><th>role</th>${keys.map((key) => html`<th class="number">${words(key)}</th>`)}
${reference !== null && html`<th class="number">minus ${reference}</th><th></th><th class="number">p, Holm</th>`}<th class="number">prompts</th></tr></thead><tbody>
${models.map((model) => {
  const difference = against(model)?.metrics[metric];
  return html`<tr><td class="name"><i class="dot ${model.role}"></i>${model.name}</td><td>${model.role}</td>${keys.map((key) => html`<td class="number">${interval(model.metrics[key])}</td>`)}
${reference !== null && html`<td class="number">${difference && differenceText(difference)}</td><td>${difference?.verdict && badge(difference.verdict)}</td><td class="number">${difference && pValue(difference.p_adjusted ?? difference.p).replace(/^p (= )?/, "")}</td>`}
<td class="number">${count(model.prompts)}${notes(model)}</td></tr>`;
})}</tbody></table></div>
${detectable(comparisons, metric)}`;
}

/** A table that finds nothing should say how much it could have found. */
function detectable(comparisons: readonly Comparison[], metric: string): Markup | undefined {
  const found = comparisons.flatMap(({ metrics }) => metrics[metric] ?? []);
  const sizes = found.flatMap(({ detectable: size }) => size ?? []);
  if (sizes.length === 0) return undefined;
  const unit = found[0]!.unit;
  const [least, most] = [figure(Math.min(...sizes), unit), figure(Math.max(...sizes), unit)];
  const range = least === most ? `${least} ${unit}` : `${least} to ${most} ${unit}, by the pair`;
  return html`<p class="small">The smallest difference that so many prompts find in four cases of five: ${range}.</p>`;
}

/** What a reader of a model's figures must know. */
function notes({ refused, unparsed, empty, cut }: ComparedModel): Markup | false {
  const counts = [
    [refused, "refused"],
    [unparsed, "not parsed"],
    [empty, "empty"],
    [cut, "cut"],
  ] as const;
  const found = counts.filter(([number]) => number > 0).map(([number, what]) => `${count(number)} ${what}`);
  return found.length > 0 && html` <span class="range">${found.join(", ")}</span>`;
}

function interval(metric: Metric | undefined): Markup | string {
  if (metric === undefined) return "\u2013";
  const { value, low, high, unit } = metric;
  return html`${figure(value, unit)} <span class="range">[${figure(low, unit)}, ${figure(high, unit)}]</span>`;
}

function differenceText({ value, low, high, unit }: Difference): Markup {
  return html`${signedFigure(value, unit)} <span class="range">[${signedFigure(low, unit)}, ${signedFigure(high, unit)}]</span>`;
}

function badge(verdict: NonNullable<Difference["verdict"]>): Markup {
  return html`<span class="badge ${verdict === "within noise" ? "noise" : verdict}">${verdict}</span>`;
}
