/**
 * The same by skill, for each benchmark whose prompts have skills: a table of models by skills, of held-out loss as
 * distance above the entropy floor where the data knows it, and the paired difference between the fused model and the
 * pivot in each.
 */
import { intervalChart } from "../charts/interval-chart.ts";
import { figure, signedFigure, words } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { BenchmarkComparison, ComparedModel, Metric } from "../run-documents.ts";
import type { Section } from "./section.ts";

const ABOVE_FLOOR = "above_floor";

export const skills: Section = {
  id: "skills",
  title: "By skill",
  render: ({ benchmarks }) => {
    const shown = benchmarks.flatMap((benchmark) => {
      const quantity = quantityOf(benchmark);
      const names = [...new Set(benchmark.models.flatMap(({ metrics }) => skillsOf(metrics, quantity)))];
      return names.length === 0 ? [] : [block(benchmark, names, quantity)];
    });
    return shown.length === 0 ? undefined : html`${shown}`;
  },
};

/** Held-out loss has its floor taken off where the data knows it. */
function quantityOf({ models, metric }: BenchmarkComparison): string {
  return models.some(({ metrics }) => skillsOf(metrics, ABOVE_FLOOR).length > 0) ? ABOVE_FLOOR : metric;
}

function block(benchmark: BenchmarkComparison, names: readonly string[], quantity: string): Markup {
  const meaning =
    quantity === ABOVE_FLOOR
      ? "nats per byte above the entropy floor; 0 is a perfect model, whatever the skill's own randomness"
      : `${words(quantity)}, ${benchmark.better} is better`;
  return html`<h3>${benchmark.name}: ${meaning}</h3>
<p class="small">The best model of each skill is set in bold; the shade compares the models of one skill.</p>
${table(benchmark, names, quantity)}${differences(benchmark, names, quantity)}`;
}

function skillsOf(metrics: ComparedModel["metrics"], quantity: string): string[] {
  const prefix = `${quantity}/`;
  return Object.keys(metrics).flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
}

/** Models by skills; the last column is the whole. */
function table({ models, better }: BenchmarkComparison, names: readonly string[], quantity: string): Markup {
  const columns = [
    ...names.map((name) => ({ label: name, key: `${quantity}/${name}` })),
    { label: "all", key: quantity },
  ];
  const ranges = columns.map(({ key }) =>
    rangeOf(
      models.flatMap(({ metrics }) => metrics[key]?.value ?? []),
      better,
    ),
  );
  const cell = (metric: Metric | undefined, column: number): Markup => {
    if (metric === undefined) return html`<td class="number">–</td>`;
    const { best, worst } = ranges[column]!;
    const { value, low, high, unit } = metric;
    const shade = worst !== best ? Math.round((40 * (value - best)) / (worst - best)) : 0;
    const text = value === best ? html`<b>${figure(value, unit)}</b>` : figure(value, unit);
    const title = `${figure(low, unit)} to ${figure(high, unit)}`;
    return html`<td class="number shade" style="--shade:${shade}%" title="${title}">${text}</td>`;
  };
  return html`<div class="scroll"><table><thead><tr><th>model</th>${columns.map(({ label }) => html`<th class="number">${label}</th>`)}</tr></thead><tbody>
${models.map(
  ({ name, role, metrics }) =>
    html`<tr><td class="name"><i class="dot ${role}"></i>${name}</td>${columns.map(({ key }, index) => cell(metrics[key], index))}</tr>`,
)}</tbody></table></div>`;
}

function rangeOf(
  values: readonly number[],
  better: "less" | "more",
): { readonly best: number; readonly worst: number } {
  const least = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return better === "less" ? { best: least, worst: most } : { best: most, worst: least };
}

function differences(benchmark: BenchmarkComparison, names: readonly string[], quantity: string): Markup | undefined {
  const { models, comparisons, reference, better } = benchmark;
  const fused = models.find(({ role }) => role === "fused")?.name;
  const comparison = comparisons.find(({ model, against }) => model === fused && against === reference);
  if (comparison === undefined) return undefined;
  const rows = names.flatMap((name) => {
    const difference = comparison.metrics[`${quantity}/${name}`];
    if (difference === undefined) return [];
    const { value, low, high, unit } = difference;
    const signed = (number: number): string => signedFigure(number, unit);
    return [
      {
        label: name,
        kind: "fused",
        value,
        low,
        high,
        title: `${name}: ${signed(value)} [${signed(low)}, ${signed(high)}]`,
      },
    ];
  });
  if (rows.length === 0) return undefined;
  return html`<h3>${comparison.model} minus ${comparison.against}</h3>
${intervalChart({ title: "Difference by skill", rows, unit: `${words(quantity)}; ${better === "less" ? "left" : "right"} of the line is better`, reference: 0 })}
<p class="small">Intervals stand each for itself; no skill has a verdict, because with so many some differ by chance.</p>`;
}
