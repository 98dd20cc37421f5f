/** MT-Bench by category: a radar of the models that matter most, a table of all of them, and where fusing helped. */
import { radar } from "../charts/radar.ts";
import { figure, pValue, signedFigure } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { BenchmarkComparison, ComparedModel } from "../run-documents.ts";
import type { Section } from "./section.ts";

const CATEGORY = "category/";
/** Scores are 1 to 10; the centre is 0, so that a model of 4 does not look like nothing beside one of 8. */
const RINGS = [2, 4, 6, 8, 10];
const HIGHEST = 10;
/** Which models the radar shows first, and the colours of its lines. More lines than colours would hide each other. */
const COLOURS: readonly ComparedModel["role"][] = ["fused", "pivot", "source", "baseline", "merge", "target"];
const ROLES: readonly ComparedModel["role"][] = [...COLOURS, "model"];

export const mtBench: Section = {
  id: "mt-bench",
  title: "MT-Bench by category",
  render: ({ benchmarks }) => {
    const shown = benchmarks.filter(({ benchmark, models }) => benchmark === "mt-bench" && models.length > 0);
    if (shown.length === 0) return undefined;
    return html`<p class="small">A judge's scores of 1 to 10 for both turns of every question, by the category of the question. Intervals
are 95 %, by bootstrap over questions; most categories have ten, so only large differences between categories mean something.</p>
${shown.map((benchmark) => html`${shown.length > 1 && html`<h3>${benchmark.name}</h3>`}${chart(benchmark)}${table(benchmark)}${differences(benchmark)}`)}`;
  },
};

function categoriesOf({ models }: BenchmarkComparison): string[] {
  const keys = models.flatMap(({ metrics }) => Object.keys(metrics));
  return [...new Set(keys.filter((key) => key.startsWith(CATEGORY)))];
}

function chart(benchmark: BenchmarkComparison): Markup | undefined {
  const keys = categoriesOf(benchmark);
  // Two axes are a line, not an area.
  if (keys.length < 3) return undefined;
  const ranked = ROLES.flatMap((role) => benchmark.models.filter((model) => model.role === role));
  const chosen = ranked.slice(0, COLOURS.length);
  const kinds = coloursOf(chosen.map(({ role }) => role));
  const left = ranked.length - chosen.length;
  return html`${radar({
    title: `MT-Bench scores by category of ${chosen.map(({ name }) => name).join(", ")}; the table below has the figures`,
    axes: keys.map(nameOf),
    lines: chosen.map(({ name, metrics }, index) => ({
      label: name,
      kind: kinds[index]!,
      values: keys.map((key) => metrics[key]?.value),
    })),
    ...{ low: 0, high: HIGHEST, rings: RINGS, figure: (value: number) => value.toFixed(2) },
  })}${left > 0 && html`<p class="small">${left} further ${left === 1 ? "model is" : "models are"} in the table.</p>`}`;
}

/** The first model of a role has its colour, as everywhere in the report; further ones have what is left. */
function coloursOf(roles: readonly ComparedModel["role"][]): string[] {
  const free = COLOURS.filter((colour) => !roles.includes(colour));
  return roles.map((role, index) =>
    COLOURS.includes(role) && roles.indexOf(role) === index ? role : (free.shift() ?? "noise"),
  );
}

/** Categories by models; the last row is the whole. */
function table(benchmark: BenchmarkComparison): Markup {
  const { models, metric } = benchmark;
  const rows = [...categoriesOf(benchmark).map((key) => [key, nameOf(key)] as const), [metric, "all"] as const];
  return html`<div class="scroll"><table><thead><tr><th>category</th>${models.map(({ name, role }) => html`<th class="number"><i class="dot ${role}"></i>${name}</th>`)}</tr></thead><tbody>
${rows.map(([key, label]) => html`<tr><td class="name">${label}</td>${models.map((model) => score(model, key, models))}</tr>`)}</tbody></table></div>`;
}

/** The best of a row is set in bold. */
function score({ metrics }: ComparedModel, key: string, models: readonly ComparedModel[]): Markup {
  const metric = metrics[key];
  if (metric === undefined) return html`<td class="number">\u2013</td>`;
  const { value, low, high, unit } = metric;
  const best = Math.max(...models.flatMap((model) => model.metrics[key]?.value ?? []));
  const text = figure(value, unit);
  return html`<td class="number">${value === best && models.length > 1 ? html`<b>${text}</b>` : text} <span class="range">[${figure(low, unit)}, ${figure(high, unit)}]</span></td>`;
}

/** How the fused model differs, category by category, from the one that all are compared with. */
function differences(benchmark: BenchmarkComparison): Markup | undefined {
  const { models, comparisons, reference } = benchmark;
  const fused = models.find(({ role }) => role === "fused")?.name;
  const comparison = comparisons.find(({ model, against }) => model === fused && against === reference);
  if (comparison === undefined) return undefined;
  const found = categoriesOf(benchmark).flatMap((key) => {
    const difference = comparison.metrics[key];
    return difference === undefined ? [] : [{ ...difference, name: nameOf(key) }];
  });
  if (found.length === 0) return undefined;
  return html`<h3>${comparison.model} minus ${comparison.against}</h3>
<div class="scroll"><table><thead><tr><th>category</th><th class="number">difference</th><th class="number">p</th></tr></thead><tbody>
${found.map(
  ({ name, value, low, high, unit, p }) =>
    html`<tr><td class="name">${name}</td><td class="number">${signedFigure(value, unit)} <span class="range">[${signedFigure(low, unit)}, ${signedFigure(high, unit)}]</span></td><td class="number">${pValue(p)}</td></tr>`,
)}</tbody></table></div>
<p class="small">These p stand each for itself, so no category has a verdict: of eight, one is below 0.05 by chance in every third run.</p>`;
}

function nameOf(key: string): string {
  return key.slice(CATEGORY.length);
}
