/** Whose answers the run trained on, and what became of the others. */
import { count } from "../figures.ts";
import { html } from "../html.ts";
import type { Section } from "./section.ts";

export const answers: Section = {
  id: "answers",
  title: "Answers",
  render: ({ answers: card }) => {
    if (card === undefined) return undefined;
    const { prompts, unanswered, records, settings, sources } = card;
    const columns = [
      ["drawn", "drawn"],
      ["empty", "empty"],
      ["refused", "refused"],
      ["cut", "cut"],
      ["duplicates", "said before"],
      ["selected", "trained on"],
      ["wins", "best of a prompt"],
    ] as const;
    return html`<p>${count(prompts)} prompts gave ${count(records)} conversations, ${count(unanswered)} prompts none; answers were chosen by ${settings.select}, and of them kept: ${settings.keep.replaceAll("-", " ")}.</p>
<div class="scroll"><table><thead><tr><th>model</th>${columns.map(([, title]) => html`<th class="number">${title}</th>`)}<th class="number">bytes each</th></tr></thead><tbody>
${sources.map(
  (source) =>
    html`<tr><td>${source.name}</td>${columns.map(([key]) => html`<td class="number">${count(source[key])}</td>`)}<td class="number">${count(source.mean_bytes)}</td></tr>`,
)}</tbody></table></div>`;
  },
};
