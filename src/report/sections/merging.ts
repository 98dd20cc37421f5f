/** The coefficients of merges that compute them: how much of each model went into each matrix of each layer. */
import { heatMap } from "../charts/heat-map.ts";
import { html, type Markup } from "../html.ts";
import type { Named } from "../run-data.ts";
import type { Merge } from "../run-documents.ts";
import type { Section } from "./section.ts";

type Tensor = Merge["tensors"][number];

export const merging: Section = {
  id: "merging",
  title: "Merging",
  render: ({ merges }) => {
    const weighed = merges.filter(({ value }) => value.tensors.some(({ coefficients }) => coefficients !== undefined));
    // With one model there is nothing to divide.
    const divided = weighed.filter(({ value }) => value.models.length > 1);
    if (divided.length === 0) return undefined;
    return html`<p>The share of each model in the update of each tensor, by layer and matrix. The shares of one tensor sum to one.</p>
${divided.map(merge)}`;
  },
};

function merge({ name, value: { method, config, models, tensors } }: Named<Merge>): Markup {
  const settings = Object.entries(config.parameters ?? {}).map(([key, setting]) => `${key} ${JSON.stringify(setting)}`);
  const layered = tensors.filter(({ layer }) => layer !== null);
  const rest = tensors.filter(({ layer }) => layer === null);
  const matrices = [...new Set(layered.map(({ matrix }) => matrix))];
  const layers = [...new Set(layered.map(({ layer }) => layer!))].sort((a, b) => a - b);
  return html`<h3>${name}: ${[method, ...settings].join(", ")}</h3><div class="heat-maps">${models.map(
    ({ model }, index) =>
      html`<figure><figcaption>${model}</figcaption>${heatMap({
        title: `Coefficients of ${model}`,
        rows: matrices,
        columns: layers.map((layer) => `layer ${layer}`),
        value: (row, column) =>
          layered.find(({ layer, matrix }) => layer === layers[column] && matrix === matrices[row])?.coefficients?.[
            index
          ],
      })}</figure>`,
  )}</div>${rest.length > 0 && outside(rest, models)}`;
}

function outside(tensors: readonly Tensor[], models: Merge["models"]): Markup {
  return html`<div class="scroll"><table><thead><tr><th>outside of the layers</th>${models.map(({ model }) => html`<th class="number">${model}</th>`)}</tr></thead><tbody>
${tensors.map(({ matrix, coefficients }) => html`<tr><td>${matrix}</td>${models.map((_, index) => html`<td class="number">${coefficients?.[index]?.toFixed(4) ?? "–"}</td>`)}</tr>`)}</tbody></table></div>`;
}
