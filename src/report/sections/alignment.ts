/** How much of each source the pivot could use: shared rows, mass that found a place, by strategy, and worked examples. */
import { count, percent } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { Named } from "../run-data.ts";
import type { Alignment } from "../run-documents.ts";
import type { Section } from "./section.ts";

/** Examples per source, and tokens per distribution, on the page; alignment.json has them all. */
const EXAMPLES = 6;
const TOKENS = 5;

export const alignment: Section = {
  id: "alignment",
  title: "Alignment",
  render: ({ alignments }) => {
    if (alignments.length === 0) return undefined;
    return html`<p>A pivot row can use a source row where both predict from the same byte of the same response. The source's
stored mass then goes to tokens of the pivot; what finds no place goes to the tail.</p>
<div class="scroll"><table><thead><tr><th>source</th><th class="number">pivot rows</th><th class="number">shared</th><th class="number">mass stored</th><th class="number">placed</th>
<th class="number">lost</th><th class="number">cut</th><th class="number">source better</th><th>vocabulary</th></tr></thead><tbody>${alignments.map(coverage)}</tbody></table></div>
${alignments.map(details)}`;
  },
};

function coverage({ name, value }: Named<Alignment>): Markup {
  return html`<tr><td>${name}</td><td class="number">${count(value.rows)}</td><td class="number">${percent(value.shared_rows / Math.max(1, value.rows))}</td>
<td class="number">${percent(value.mass_stored)}</td><td class="number">${percent(value.mass_kept)}</td><td class="number">${percent(value.mass_lost)}</td>
<td class="number">${percent(value.mass_cut)}</td>
<td class="number">${count(value.source_better_conversations)} of ${count(value.conversations)} conversations</td><td>${value.vocabulary}</td></tr>`;
}

function details({ name, value }: Named<Alignment>): Markup {
  const { strategies, examples, vocabulary } = value;
  return html`${
    Object.keys(strategies).length > 1 &&
    html`<h3>${name}: mass by vocabulary strategy</h3>
<div class="scroll"><table><thead><tr><th>strategy</th><th class="number">source tokens met</th><th class="number">with a place</th><th class="number">mass placed</th><th class="number">mass lost</th></tr></thead><tbody>
${Object.entries(strategies).map(
  ([
    strategy,
    figures,
  ]) => html`<tr><td>${strategy === vocabulary ? html`<b>${strategy}</b>` : strategy}</td><td class="number">${count(figures.tokens)}</td><td class="number">${count(figures.placed_tokens)}</td>
<td class="number">${percent(figures.mass_kept)}</td><td class="number">${percent(figures.mass_lost)}</td></tr>`,
)}</tbody></table></div>`
  }
${
  examples.length > 0 &&
  html`<details><summary>${name}: worked examples</summary><div class="scroll"><table><thead><tr><th>pivot's label</th><th>source's label</th><th>the source's most probable tokens</th><th>in the pivot's vocabulary</th></tr></thead><tbody>
${spread(examples, EXAMPLES).map((example) => html`<tr><td>${token(example.pivot.text)}</td><td>${token(example.source.text)}</td><td>${masses(example.stored)}</td><td>${masses(example.mapped)}</td></tr>`)}</tbody></table></div></details>`
}`;
}

function masses(tokens: readonly { readonly text: string; readonly probability: number }[]): Markup {
  return html`${tokens.slice(0, TOKENS).map(({ text, probability }) => html`<span class="mass">${token(text)} ${percent(probability)}</span> `)}`;
}

/** A token with its spaces visible. */
function token(text: string): Markup {
  return html`<code>${text.replaceAll(" ", "\u2423").replaceAll("\n", "\u21b5").replaceAll("\t", "\u21e5")}</code>`;
}

/** Some of a list, evenly over it. */
function spread<T>(items: readonly T[], wanted: number): T[] {
  if (items.length <= wanted) return [...items];
  return Array.from({ length: wanted }, (_, index) => items[Math.floor(((index + 0.5) * items.length) / wanted)]!);
}
