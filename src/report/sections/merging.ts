/** The coefficients of merges that compute them: how much of each model went into each matrix of each layer. */
import { layerPlace } from "../../merge/layers.ts";
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
    // With one model there is nothing to divide.
    const divided = merges.filter(({ value }) => hasCoefficients(value) && value.models.length > 1);
    if (divided.length === 0) return undefined;
    return html`<p>The share of each model in the update of each tensor, by layer and matrix. The shares of one tensor sum to one.</p>
${divided.map(merge)}`;
  },
};

/** Some methods compute none. */
export function hasCoefficients({ tensors }: Merge): boolean {
  return tensors.some(({ coefficients }) => coefficients !== undefined);
}

function merge({ name, value: { method, config, models, tensors } }: Named<Merge>): Markup {
  const settings = Object.entries(config.parameters ?? {}).map(([key, setting]) => `${key} ${JSON.stringify(setting)}`);
  const names = models.map(({ model }) => model);
  const share = shareIn(names);
  const rest = tensors.filter(({ layer }) => layer === null);
  const stacks = stacksOf(tensors.filter(({ layer }) => layer !== null));
  return html`<h3>${name}: ${[method, ...settings].join(", ")}</h3>${[...stacks].map(
    ([stack, layered]) => html`${stacks.size > 1 && html`<h4>${stack}</h4>`}${heatMaps(layered, names, share)}`,
  )}${rest.length > 0 && outside(rest, names, share)}`;
}

/** A vision tower's layers are not those of the language model beside it. */
function stacksOf(tensors: readonly Tensor[]): ReadonlyMap<string, readonly Tensor[]> {
  const stacks = new Map<string, Tensor[]>();
  for (const tensor of tensors) {
    const stack = layerPlace(tensor.name)?.stack ?? "";
    const own = stacks.get(stack);
    if (own === undefined) stacks.set(stack, [tensor]);
    else own.push(tensor);
  }
  return stacks;
}

type Share = (tensor: Tensor, model: string) => number | undefined;

/** Tensors of slices have models of their own; all others those of the merge. */
function shareIn(names: readonly string[]): Share {
  return ({ models = names, coefficients }, model) => coefficients?.[models.indexOf(model)];
}

/** One map a model. What there is several times in a layer, as experts, is shown by its mean. */
function heatMaps(tensors: readonly Tensor[], names: readonly string[], share: Share): Markup {
  const cells = new Map<string, Tensor[]>();
  const rowOf = ({ matrix }: Tensor): string => matrix.replace(/\.\d+(?=\.|$)/g, ".*");
  const key = (row: string, layer: number): string => `${layer} ${row}`;
  for (const tensor of tensors) {
    const at = key(rowOf(tensor), tensor.layer!);
    const cell = cells.get(at);
    if (cell === undefined) cells.set(at, [tensor]);
    else cell.push(tensor);
  }
  const rows = [...new Set(tensors.map(rowOf))];
  const layers = [...new Set(tensors.map(({ layer }) => layer!))].sort((a, b) => a - b);
  const maps = names.map((model) => {
    const value = (row: number, column: number): number | undefined => {
      const cell = cells.get(key(rows[row]!, layers[column]!)) ?? [];
      const shares = cell.map((tensor) => share(tensor, model)).filter((found) => found !== undefined);
      return shares.length === 0 ? undefined : shares.reduce((sum, found) => sum + found, 0) / shares.length;
    };
    const title = `Coefficients of ${model}`;
    const columns = layers.map((layer) => `layer ${layer}`);
    return html`<figure><figcaption>${model}</figcaption>${heatMap({ title, rows, columns, value })}</figure>`;
  });
  return html`<div class="heat-maps">${maps}</div>`;
}

function outside(tensors: readonly Tensor[], names: readonly string[], share: Share): Markup {
  return html`<div class="scroll"><table><thead><tr><th>outside of the layers</th>${names.map((model) => html`<th class="number">${model}</th>`)}</tr></thead><tbody>
${tensors.map((tensor) => html`<tr><td>${tensor.matrix}</td>${names.map((model) => html`<td class="number">${share(tensor, model)?.toFixed(4) ?? "–"}</td>`)}</tr>`)}</tbody></table></div>`;
}
