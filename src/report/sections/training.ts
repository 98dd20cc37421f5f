/** Loss curves of all targets and fine-tuning runs, and where each began and ended. */
import { lineChart } from "../charts/line-chart.ts";
import { count, short } from "../figures.ts";
import { html } from "../html.ts";
import type { LogLine } from "../run-documents.ts";
import type { Section } from "./section.ts";

export const training: Section = {
  id: "training",
  title: "Training",
  render: ({ logs }) => {
    const begun = logs.filter(({ value }) => value.length > 0);
    if (begun.length === 0) return undefined;
    const curves = begun.map(({ name, value }) => ({
      label: name,
      points: value.map(({ step, label_loss: y }) => ({ x: step, y })),
    }));
    return html`${lineChart({
      title: "Loss on the labels over the steps",
      curves,
      xLabel: "optimiser step",
      yLabel: "loss on the labels, nats per row",
    })}
<div class="scroll"><table><thead><tr><th>run</th><th class="number">steps</th><th class="number">rows seen</th><th class="number">label loss, first</th><th class="number">last</th>
<th class="number">fusion loss, first</th><th class="number">last</th><th class="number">highest rate</th></tr></thead><tbody>
${begun.map(({ name, value }) => {
  const [first, last] = [value[0]!, value.at(-1)!];
  const rate = value.reduce((most, { lr }) => Math.max(most, lr), 0);
  const rows = value.reduce((total, line) => total + line.rows, 0);
  return html`<tr><td>${name}</td><td class="number">${count(value.length)}</td><td class="number">${count(rows)}</td><td class="number">${short(first.label_loss)}</td>
<td class="number">${short(last.label_loss)}</td><td class="number">${fusion(first)}</td><td class="number">${fusion(last)}</td><td class="number">${short(rate)}</td></tr>`;
})}</tbody></table></div>`;
  },
};

/** Plain fine-tuning has no fusion term. */
function fusion({ fusion_loss: loss }: LogLine): string {
  return loss === 0 ? "\u2013" : short(loss);
}
