/**
 * The same by skill: a table of models by skills, as distance above the entropy floor where the data knows it, and the
 * paired difference between the fused model and the pivot in each.
 */
import { intervalChart } from "../charts/interval-chart.ts";
import { nats, signed } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { ComparedModel, HeldOut, Metric } from "../run-documents.ts";
import type { Section } from "./section.ts";

export const skills: Section = {
  id: "skills",
  title: "By skill",
  render: ({ heldOut }) => {
    if (heldOut === undefined) return undefined;
    const quantity = heldOut.models.some(({ metrics }) => skillsOf(metrics, "above_floor").length > 0)
      ? "above_floor"
      : "nats_per_byte";
    const names = [...new Set(heldOut.models.flatMap(({ metrics }) => skillsOf(metrics, quantity)))];
    if (names.length === 0) return undefined;
    const meaning =
      quantity === "above_floor"
        ? "Nats per byte above the entropy floor: 0 is a perfect model, whatever the skill's own randomness."
        : "Nats per byte; no entropy floor is known for these conversations.";
    return html`<p>${meaning} The best model of each skill is set in bold; the shade compares the models of one skill.</p>
${table(heldOut.models, names, quantity)}${differences(heldOut, names, quantity)}`;
  },
};

function skillsOf(metrics: ComparedModel["metrics"], quantity: string): string[] {
  const prefix = `${quantity}/`;
  return Object.keys(metrics).flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
}

/** Models by skills; the last column is the whole. */
function table(models: readonly ComparedModel[], names: readonly string[], quantity: string): Markup {
  const columns = [
    ...names.map((name) => ({ label: name, key: `${quantity}/${name}` })),
    { label: "all", key: quantity },
  ];
  const ranges = columns.map(({ key }) => rangeOf(models.flatMap(({ metrics }) => metrics[key]?.value ?? [])));
  const cell = (metric: Metric | undefined, column: number): Markup => {
    if (metric === undefined) return html`<td class="number">–</td>`;
    const { best, worst } = ranges[column]!;
    const shade = worst > best ? Math.round((40 * (metric.value - best)) / (worst - best)) : 0;
    const value = metric.value === best ? html`<b>${nats(metric.value)}</b>` : nats(metric.value);
    const title = `${nats(metric.low)} to ${nats(metric.high)}`;
    return html`<td class="number shade" style="--shade:${shade}%" title="${title}">${value}</td>`;
  };
  return html`<div class="scroll"><table><thead><tr><th>model</th>${columns.map(({ label }) => html`<th class="number">${label}</th>`)}</tr></thead><tbody>
${models.map(
  ({ name, role, metrics }) =>
    html`<tr><td class="name"><i class="dot ${role}"></i>${name}</td>${columns.map(({ key }, index) => cell(metrics[key], index))}</tr>`,
)}</tbody></table></div>`;
}

function rangeOf(values: readonly number[]): { readonly best: number; readonly worst: number } {
  return {
    best: values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY),
    worst: values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY),
  };
}

function differences({ models, comparisons }: HeldOut, names: readonly string[], quantity: string): Markup | undefined {
  const pivot = models.find(({ role }) => role === "pivot")?.name;
  const fused = models.find(({ role }) => role === "fused")?.name;
  const comparison = comparisons.find(({ model, against }) => model === fused && against === pivot);
  if (comparison === undefined) return undefined;
  const rows = names.flatMap((name) => {
    const difference = comparison.metrics[`${quantity}/${name}`];
    if (difference === undefined) return [];
    const { value, low, high, verdict } = difference;
    const kind = verdict === "within noise" ? "noise" : verdict;
    return [
      {
        label: name,
        kind,
        value,
        low,
        high,
        title: `${name}: ${signed(value)} [${signed(low)}, ${signed(high)}], ${verdict}`,
      },
    ];
  });
  if (rows.length === 0) return undefined;
  return html`<h3>${comparison.model} minus ${comparison.against}</h3>
${intervalChart({ title: "Difference by skill", rows, unit: "nats per byte; left of the line is better", reference: 0 })}`;
}
