/** What the run shows, in sentences: each comparison is better, worse or within noise, and nothing is left unsaid. */
import { nats, signed } from "../figures.ts";
import { html, type Markup } from "../html.ts";
import type { RunData } from "../run-data.ts";
import type { Comparison, HeldOut } from "../run-documents.ts";
import type { Section } from "./section.ts";

export const summary: Section = {
  id: "summary",
  title: "What came out",
  render: ({ heldOut, notes }: RunData) => {
    if (heldOut === undefined || heldOut.comparisons.length === 0) return undefined;
    const pivot = heldOut.models.find(({ role }) => role === "pivot")?.name;
    const list = (comparisons: readonly Comparison[]): Markup =>
      html`<ul class="verdicts">${comparisons.map((comparison) => statement(comparison, heldOut))}</ul>`;
    const withPivot = heldOut.comparisons.filter(({ against }) => against === pivot);
    const others = heldOut.comparisons.filter(({ against }) => against !== pivot);
    return html`${withPivot.length > 0 && html`<h3>Against the pivot</h3>${list(withPivot)}`}
${others.length > 0 && html`<h3>Against the other models</h3>${list(others)}`}
<p class="small">Less is better. Intervals are 95 %, by bootstrap over the held-out conversations; they do not cover the
draw of a training seed. A difference counts only where its interval and a sign-flip permutation test agree.</p>
${notes.length > 0 && html`<ul class="small">${notes.map((note) => html`<li>${note}</li>`)}</ul>`}`;
  },
};

function statement({ model, against, metrics }: Comparison, { models }: HeldOut): Markup | undefined {
  const difference = metrics.nats_per_byte;
  if (difference === undefined) return undefined;
  const { value, low, high, p, verdict, unit } = difference;
  const kind = verdict === "within noise" ? "noise" : verdict;
  const word = verdict === "within noise" ? "within noise of" : `${verdict} than`;
  const figure = (name: string): string => {
    const own = models.find((other) => other.name === name)?.metrics.nats_per_byte;
    return own === undefined ? "" : ` (${nats(own.value)})`;
  };
  return html`<li><span class="badge ${kind}">${verdict}</span> <b>${model}</b>${figure(model)} is ${word} <b>${against}</b>${figure(against)}:
${signed(value)} ${unit}, interval ${signed(low)} to ${signed(high)}, p ${p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`}.</li>`;
}
