/**
 * The report of a run directory, or of one merged model: one HTML page that needs nothing else, neither scripts nor fonts nor the network, and
 * reads in light and in dark. It is a function of the directory's files alone.
 */
import { basename, resolve } from "node:path";
import { count } from "./figures.ts";
import { html, type Markup } from "./html.ts";
import { EMPTY_RUN, type RunData, readMerge, readRunData } from "./run-data.ts";
import { alignment } from "./sections/alignment.ts";
import { answers } from "./sections/answers.ts";
import { data } from "./sections/data.ts";
import { hasCoefficients, merging } from "./sections/merging.ts";
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
  answers,
  recipe,
  times,
];

/** The page as text. Parts that the run does not have are left out; a broken file is an input error that names it. */
export async function renderReport(runFolder: string): Promise<string> {
  return renderPage(await readRunData(runFolder)).text;
}

/** The page of a merged model that belongs to no run; undefined where its method computes no coefficients. */
export async function renderMergeReport(folder: string): Promise<string | undefined> {
  const merge = await readMerge(folder);
  if (merge === undefined || !hasCoefficients(merge)) return undefined;
  const run = { ...EMPTY_RUN, merges: [{ name: basename(resolve(folder)), value: merge }] };
  return renderPage(run, `Merge by ${merge.method}`).text;
}

export function renderPage(run: RunData, title: string = titleOf(run)): Markup {
  const parts = SECTIONS.map((section) => ({ ...section, body: section.render(run) })).filter(({ body }) => body);
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
      html`<span><i class="dot ${role}"></i><b>${name}</b> ${role}, ${architecture}${parameters !== null && `, ${count(parameters)} parameters`}</span>`,
  )}</p>`;
}
