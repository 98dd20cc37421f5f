/**
 * How much of each source the pivot could use: shared rows, mass that found a place, by strategy, where the mass went,
 * and passages of responses under both tokenisations.
 */
import { count, percent } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { Named } from "../run-data.ts";
import type { Alignment, MappedPair } from "../run-documents.ts";
import { passageFigure } from "./passage.ts";
import type { Section } from "./section.ts";
import { token, tokenMasses } from "./token.ts";

/** Worked examples a source on the page; alignment.json has them all. */
const EXAMPLES = 6;

export const alignment: Section = {
  id: "alignment",
  title: "Alignment",
  render: ({ alignments }) => {
    if (alignments.length === 0) return undefined;
    return html`<p>A pivot row can use a source row where both predict from the same byte of the same response${
      alignments.some(({ value }) => value.within !== undefined) &&
      ", or the row of the source's token that it begins within"
    }. The source's
stored mass then goes to tokens of the pivot; what finds no place goes to the tail.</p>
<div class="scroll"><table><thead><tr><th>source</th><th class="number">pivot rows</th><th class="number">shared</th><th class="number">mass stored</th><th class="number">placed</th>
<th class="number">lost</th><th class="number">cut</th><th class="number">source better</th><th>vocabulary</th><th>label mass</th><th>divided by</th></tr></thead><tbody>${alignments.map(coverage)}</tbody></table></div>
${alignments.map(details)}`;
  },
};

function coverage({ name, value }: Named<Alignment>): Markup {
  return html`<tr><td>${name}</td><td class="number">${count(value.rows)}</td><td class="number">${percent(value.shared_rows / Math.max(1, value.rows))}</td>
<td class="number">${percent(value.mass_stored)}</td><td class="number">${percent(value.mass_kept)}</td><td class="number">${percent(value.mass_lost)}</td>
<td class="number">${percent(value.mass_cut)}</td>
<td class="number">${count(value.source_better_conversations)} of ${count(value.conversations)} conversations</td><td>${value.vocabulary}</td>
<td>${value.label_mass ?? "none"}</td><td>${value.divide ?? "counts"}</td></tr>`;
}

function details({ name, value }: Named<Alignment>): Markup {
  const { strategies, examples, vocabulary, mapped_pairs: pairs = [], passages = [] } = value;
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
${value.mass_to_equal_bytes !== undefined && destinations(name, value, pairs)}
${
  passages.length > 0 &&
  html`<h3>${name}: both tokenisations over the text</h3>
<p class="small">Each cell is a label token over the bytes that it stands for. Rows that both models have are numbered and framed, the others
dashed; the table below says where the source's most probable tokens of a numbered row went.</p>
${passages.map(passageFigure)}`
}
${
  examples.length > 0 &&
  html`<details><summary>${name}: worked examples</summary><div class="scroll"><table><thead><tr><th>pivot's label</th><th>source's label</th><th>the source's most probable tokens</th><th>in the pivot's vocabulary</th></tr></thead><tbody>
${spread(examples, EXAMPLES).map((example) => html`<tr><td>${token(example.pivot.text)}</td><td>${token(example.source.text)}</td><td>${tokenMasses(example.stored)}</td><td>${tokenMasses(example.mapped)}</td></tr>`)}</tbody></table></div></details>`
}`;
}

function destinations(name: string, value: Alignment, pairs: readonly MappedPair[]): Markup {
  const { label_mass, divide, mass_stored, strategies, vocabulary } = value;
  const used = strategies[vocabulary];
  const stored = used === undefined ? mass_stored : used.mass_kept + used.mass_lost;
  const share = (mass = 0): string => percent(mass / Math.max(stored, Number.MIN_VALUE));
  const refined = label_mass !== undefined || divide !== undefined;
  return html`<h3>${name}: where the mass goes</h3>
<p>Of the stored mass, ${share(value.mass_to_equal_bytes)} goes to pivot tokens with the same bytes, ${share(value.mass_to_end_of_turn)} from end of turn to
end of turn, ${share(value.mass_to_other_bytes)} to tokens with other bytes.${refined && " This is the vocabulary map; the label mass and the division by what the pivot expects refine it row by row."}</p>
${
  pairs.length > 0 &&
  html`<details><summary>${name}: the ${pairs.length} source tokens with the most mass that does not go to the same bytes</summary>
<div class="scroll"><table><thead><tr><th>source token</th><th class="number">mass a shared row</th><th class="number">elsewhere</th><th>goes to, with the share of it</th></tr></thead><tbody>
${pairs.map(
  (pair) =>
    html`<tr><td>${token(pair.text)}</td><td class="number">${percent(pair.mass)}</td><td class="number">${percent(pair.mass_moved)}</td><td>${
      pair.places.length === 0
        ? "no place: the tail"
        : tokenMasses(pair.places.map(({ text, mass }) => ({ text, probability: mass / pair.mass })))
    }${pair.further_places > 0 && html`<span class="small">and ${pair.further_places} more</span>`}</td></tr>`,
)}</tbody></table></div></details>`
}`;
}

/** Some of a list, evenly over it. */
function spread<T>(items: readonly T[], wanted: number): T[] {
  if (items.length <= wanted) return [...items];
  return Array.from({ length: wanted }, (_, index) => items[Math.floor(((index + 0.5) * items.length) / wanted)]!);
}
