/** Figures with their intervals, a line each: a dot at the value, a bar from low to high, and an optional reference. */
import { html, type Markup } from "../html.ts";
import { linearScale, pixel } from "./axis.ts";

export interface IntervalRow {
  readonly label: string;
  /** Chooses the colour: `pivot`, `source`, `target`, `fused`, `merge`, `baseline`, `better`, `worse`, `noise`. */
  readonly kind: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Told on hovering. */
  readonly title: string;
}

export interface IntervalChart {
  readonly title: string;
  readonly rows: readonly IntervalRow[];
  readonly unit: string;
  /** A vertical line here, such as the pivot's value, or 0 for differences. */
  readonly reference?: number;
}

const WIDTH = 760;
const LABELS = 190;
const RIGHT = 24;
const ROW = 26;
const TOP = 8;
const BOTTOM = 40;

export function intervalChart({ title, rows, unit, reference }: IntervalChart): Markup {
  const scale = linearScale([
    ...rows.flatMap(({ value, low, high }) => [value, low, high]),
    ...(reference === undefined ? [] : [reference]),
  ]);
  const height = TOP + ROW * rows.length + BOTTOM;
  const x = (value: number): number => pixel(LABELS + scale.place(value) * (WIDTH - LABELS - RIGHT));
  const floor = TOP + ROW * rows.length;
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">
${scale.ticks.map((tick) => html`<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${TOP}" y2="${floor}"/><text class="tick" x="${x(tick)}" y="${floor + 16}" text-anchor="middle">${scale.label(tick)}</text>`)}
${reference !== undefined && html`<line class="reference" x1="${x(reference)}" x2="${x(reference)}" y1="${TOP}" y2="${floor}"/>`}
${rows.map(({ label, kind, value, low, high, title: tip }, index) => {
  const y = TOP + ROW * (index + 0.5);
  return html`<g class="mark ${kind}"><title>${tip}</title><text class="label" x="${LABELS - 12}" y="${y + 4}" text-anchor="end">${label}</text><line class="whisker" x1="${x(low)}" x2="${x(high)}" y1="${y}" y2="${y}"/><circle cx="${x(value)}" cy="${y}" r="5"/></g>`;
})}
<text class="unit" x="${LABELS}" y="${height - 6}">${unit}</text></svg>`;
}
