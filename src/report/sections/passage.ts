/** A passage of a response under both tokenisations: tables whose cells are tokens over the same bytes. */
import { type GridCell, tokenGrid } from "../../align/examples/token-grid.ts";
import { html, type Markup } from "../html.ts";
import type { Passage, PassageToken } from "../run-documents.ts";
import { token, tokenMasses, visibleText } from "./token.ts";

/** Bytes a line; a line ends where both tokenisations have a boundary. */
const LINE_BYTES = 56;
/** Source tokens of less are left out, but for the first of a row. */
const LEAST = 5e-4;

export function passageFigure(passage: Passage): Markup {
  const { pivot, source, shared, conversation, turn } = passage;
  const pivotNumber = new Map(shared.map((row, index) => [row.pivot, index + 1]));
  const sourceIsShared = new Set(shared.map((row) => row.source));
  return html`<figure class="passage"><figcaption>Conversation ${conversation}, turn ${turn}: ${shared.length} of ${pivot.length} rows shared</figcaption>
<blockquote dir="auto">${passage.text}</blockquote>
${tokenGrid(pivot, source, LINE_BYTES).map(
  (line) => html`<div class="scroll"><table class="tokens" dir="ltr"><tbody>
<tr class="numbers"><th>shared</th>${line.pivot.map(({ token: index, columns }) => html`<td colspan="${columns}">${pivotNumber.get(index)}</td>`)}</tr>
<tr><th>pivot</th>${line.pivot.map((cell) => tokenCell(cell, pivot, pivotNumber.has(cell.token)))}</tr>
<tr><th>source</th>${line.source.map((cell) => tokenCell(cell, source, sourceIsShared.has(cell.token)))}</tr>
</tbody></table></div>`,
)}
<details><summary>Where the source's tokens went</summary><div class="scroll"><table><thead><tr><th class="number">row</th><th>pivot's label</th><th>source's label</th><th>source token \u2192 pivot tokens</th></tr></thead><tbody>
${shared.map(
  (row, index) =>
    html`<tr><td class="number">${index + 1}</td><td>${token(pivot[row.pivot]!.text)}</td><td>${token(source[row.source]!.text)}</td><td>${row.went
      .filter(({ probability }, rank) => rank === 0 || probability >= LEAST)
      .map(
        ({ places, ...from }) =>
          html`<div class="went">${tokenMasses([from])}\u2192 ${places.length === 0 ? "no place" : tokenMasses(places)}</div>`,
      )}</td></tr>`,
)}</tbody></table></div></details></figure>`;
}

function tokenCell({ token: index, columns }: GridCell, tokens: readonly PassageToken[], isShared: boolean): Markup {
  const found = tokens[index];
  if (found === undefined) return html`<td class="none" colspan="${columns}"></td>`;
  const { text, byte_start, byte_end } = found;
  const title = byte_start === byte_end ? `byte ${byte_start}` : `bytes ${byte_start} to ${byte_end - 1}`;
  return html`<td class="${isShared ? "token shared" : "token"}" colspan="${columns}" title="${title}"><bdi>${visibleText(text)}</bdi></td>`;
}
