/** Every evaluated model with its interval, as a chart and as a table, and its paired difference from the pivot. */
import { type IntervalRow, intervalChart } from "../charts/interval-chart.ts";
import { count, nats, signed } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { ComparedModel, Comparison, Difference, HeldOut, Metric } from "../run-documents.ts";
import type { Section } from "./section.ts";

export const results: Section = {
  id: "results",
  title: "Held-out loss of every model",
  render: ({ heldOut }) => {
    if (heldOut === undefined || heldOut.models.length === 0) return undefined;
    const pivot = heldOut.models.find(({ role }) => role === "pivot");
    const reference = pivot?.metrics.nats_per_byte?.value;
    const rows = heldOut.models.flatMap((model) => intervalRow(model, "nats_per_byte"));
    return html`${intervalChart({
      title: "Held-out loss in nats per byte",
      rows,
      unit: "nats per byte, less is better; the dashed line is the pivot",
      ...(reference !== undefined && { reference }),
    })}${table(heldOut, pivot)}`;
  },
};

function intervalRow({ name, role, metrics }: ComparedModel, key: string): IntervalRow[] {
  const metric = metrics[key];
  if (metric === undefined) return [];
  const { value, low, high } = metric;
  return [
    { label: name, kind: role, value, low, high, title: `${name}: ${nats(value)} [${nats(low)}, ${nats(high)}]` },
  ];
}

function table({ models, comparisons }: HeldOut, pivot: ComparedModel | undefined): Markup {
  const hasFloor = models.some(({ metrics }) => metrics.above_floor !== undefined);
  const against = (model: ComparedModel): Comparison | undefined =>
    comparisons.find((comparison) => comparison.model === model.name && comparison.against === pivot?.name);
  return html`<div class="scroll"><table><thead><tr><th>model</th><th>role</th><th class="number">nats per byte</th>
${hasFloor && html`<th class="number">above the floor</th>`}
${pivot !== undefined && html`<th class="number">minus ${pivot.name}</th><th></th>`}<th class="number">conversations</th></tr></thead><tbody>
${models.map((model) => {
  const difference = against(model)?.metrics.nats_per_byte;
  return html`<tr><td class="name"><i class="dot ${model.role}"></i>${model.name}</td><td>${model.role}</td><td class="number">${interval(model.metrics.nats_per_byte)}</td>
${hasFloor && html`<td class="number">${interval(model.metrics.above_floor)}</td>`}
${pivot !== undefined && html`<td class="number">${difference && html`${signed(difference.value)} <span class="range">[${signed(difference.low)}, ${signed(difference.high)}]</span>`}</td><td>${difference && badge(difference.verdict)}</td>`}
<td class="number">${count(model.conversations)}${model.refused > 0 && html` <span class="range">${count(model.refused)} refused</span>`}</td></tr>`;
})}</tbody></table></div>`;
}

function interval(metric: Metric | undefined): Markup | string {
  if (metric === undefined) return "\u2013";
  return html`${nats(metric.value)} <span class="range">[${nats(metric.low)}, ${nats(metric.high)}]</span>`;
}

function badge(verdict: Difference["verdict"]): Markup {
  return html`<span class="badge ${verdict === "within noise" ? "noise" : verdict}">${verdict}</span>`;
}
