/** What the run shows, in sentences: each comparison is better, worse or within noise, and nothing is left unsaid. */
import { figure, pValue, signedFigure } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { RunData } from "../run-data.ts";
import type { BenchmarkComparison, Comparison, Gates } from "../run-documents.ts";
import type { Section } from "./section.ts";

export const summary: Section = {
  id: "summary",
  title: "What came out",
  render: ({ benchmarks, gates, notes }: RunData) => {
    const compared = benchmarks.filter(({ comparisons }) => comparisons.length > 0);
    if (compared.length === 0 && gates.length === 0) return undefined;
    return html`${gates.length > 0 && gateList(gates)}${compared.map((benchmark) => statements(benchmark, compared.length > 1))}
<p class="small">Intervals are 95 %, by bootstrap over the prompts; they do not cover the draw of a training seed. A
difference counts only where its interval and a permutation test of the same prompts, corrected by Holm's method for
this figure of all pairs of a table, agree. Differences of other figures, skills and categories have no verdict.</p>
${notes.length > 0 && html`<ul class="small">${notes.map((note) => html`<li>${note}</li>`)}</ul>`}`;
  },
};

function gateList(gates: Gates["gates"]): Markup {
  return html`<h3>What the recipe demands</h3><ul class="verdicts">${gates.map(
    ({ gate, met, figures }) =>
      html`<li><span class="badge ${met ? "better" : "worse"}">${met ? "met" : "not met"}</span> <code>${gate}</code>: ${figures}</li>`,
  )}</ul>`;
}

function statements(benchmark: BenchmarkComparison, isOneOfSeveral: boolean): Markup {
  const { name, better, comparisons, reference } = benchmark;
  const prefix = isOneOfSeveral ? `${name}: ` : "";
  const list = (title: string, chosen: readonly Comparison[]): Markup | false =>
    chosen.length > 0 &&
    html`<h3>${prefix}${title} (${better} is better)</h3><ul class="verdicts">${chosen.map((comparison) => statement(comparison, benchmark))}</ul>`;
  const withReference = comparisons.filter(({ against }) => against === reference);
  const others = comparisons.filter(({ against }) => against !== reference);
  return html`${list(`against ${reference ?? ""}`, withReference)}${list("against the other models", others)}`;
}

function statement({ model, against, metrics }: Comparison, benchmark: BenchmarkComparison): Markup | undefined {
  const { metric, models } = benchmark;
  const difference = metrics[metric];
  if (difference === undefined) return undefined;
  const { value, low, high, p, p_adjusted: adjusted, verdict = "within noise", unit } = difference;
  const kind = verdict === "within noise" ? "noise" : verdict;
  const word = verdict === "within noise" ? "within noise of" : `${verdict} than`;
  const own = (name: string): string => {
    const found = models.find((other) => other.name === name)?.metrics[metric];
    return found === undefined ? "" : ` (${figure(found.value, unit)})`;
  };
  const correction = adjusted === undefined ? "" : `, ${pValue(adjusted).replace(/^p (= )?/, "")} by Holm`;
  return html`<li><span class="badge ${kind}">${verdict}</span> <b>${model}</b>${own(model)} is ${word} <b>${against}</b>${own(against)}:
${signedFigure(value, unit)} ${unit}, interval ${signedFigure(low, unit)} to ${signedFigure(high, unit)}, ${pValue(p)}${correction}.</li>`;
}
