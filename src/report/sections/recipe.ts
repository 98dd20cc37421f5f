/** The recipe as it was given, and how long each unit of the run took. */
import { seconds } from "../figures.ts";
import { html } from "../html.ts";
import type { Section } from "./section.ts";

export const recipe: Section = {
  id: "recipe",
  title: "Recipe",
  render: ({ recipe: text }) => (text === undefined ? undefined : html`<pre>${text}</pre>`),
};

export const times: Section = {
  id: "times",
  title: "Times",
  render: ({ timing }) => {
    if (timing.length === 0) return undefined;
    const total = timing.reduce((sum, entry) => sum + entry.seconds, 0);
    return html`<details><summary>${timing.length} units of work, ${seconds(total)} in all</summary><table><thead><tr><th>unit</th><th class="number">time</th></tr></thead><tbody>
${timing.map((entry) => html`<tr><td>${entry.unit}</td><td class="number">${seconds(entry.seconds)}</td></tr>`)}</tbody></table></details>`;
  },
};
