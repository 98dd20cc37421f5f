/**
 * The report of a run directory: one HTML page that needs nothing else, neither scripts nor fonts nor the network, and
 * reads in light and in dark. It is a function of the directory's files alone.
 */
import { count } from "./figures.ts";
import { html, type Markup } from "./html.ts";
import { type RunData, readRunData } from "./run-data.ts";
import { alignment } from "./sections/alignment.ts";
import { data } from "./sections/data.ts";
import { merging } from "./sections/merging.ts";
import { mtBench } from "./sections/mt-bench.ts";
import { recipe, times } from "./sections/recipe.ts";
import { results } from "./sections/results.ts";
import type { Section } from "./sections/section.ts";
import { skills } from "./sections/skills.ts";
import { summary } from "./sections/summary.ts";
import { training } from "./sections/training.ts";
import { STYLE } from "./style.ts";

/** In the order of the page. A new part is one file in `sections/` and one name here. */
const SECTIONS: readonly Section[] = [
  summary,
  results,
  skills,
  mtBench,
  training,
  alignment,
  merging,
  data,
  recipe,
  times,
];

/** The page as text. Parts that the run does not have are left out; a broken file is an input error that names it. */
export async function renderReport(runFolder: string): Promise<string> {
  return renderPage(await readRunData(runFolder)).text;
}

export function renderPage(run: RunData): Markup {
  const parts = SECTIONS.map((section) => ({ ...section, body: section.render(run) })).filter(({ body }) => body);
  const title = titleOf(run);
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>${STYLE}</head><body>
<header><h1>${title}</h1>${models(run)}
<nav>${parts.map(({ id, title: name }) => html`<a href="#${id}">${name}</a>`)}</nav></header>
<main>${parts.map(({ id, title: name, body }) => html`<section id="${id}"><h2>${name}</h2>${body}</section>`)}
${parts.length === 0 && html`<p>This run has no results yet.</p>`}</main>
</body></html>
`;
}

function titleOf({ plan }: RunData): string {
  if (plan === undefined) return "fusechat run";
  const { pivot, sources } = plan.recipe;
  return `${pivot.name} fused with ${sources.map(({ name }) => name).join(", ")}`;
}

function models({ plan }: RunData): Markup | undefined {
  if (plan === undefined) return undefined;
  return html`<p class="models">${plan.models.map(
    ({ name, role, architecture, parameters }) =>
      html`<span><i class="dot ${role}"></i><b>${name}</b> ${role}, ${architecture}, ${count(parameters)} parameters</span>`,
  )}</p>`;
}
