/** Curves over steps with a legend; where there are very many steps, means of neighbours keep the file small. */
import { html, type Markup } from "../html.ts";
import { linearScale, pixel } from "./axis.ts";

export interface Curve {
  readonly label: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface LineChart {
  readonly title: string;
  readonly curves: readonly Curve[];
  readonly xLabel: string;
  readonly yLabel: string;
}

const WIDTH = 760;
const HEIGHT = 300;
const LEFT = 62;
const RIGHT = 24;
const TOP = 26;
const BOTTOM = 44;
const MOST_POINTS = 300;
/** Colours of curves in the style sheet. */
const COLOURS = 8;

export function lineChart({ title, curves, xLabel, yLabel }: LineChart): Markup {
  const thinned = curves.map(({ label, points }) => ({ label, points: thin(points) }));
  const all = thinned.flatMap(({ points }) => points);
  const across = linearScale(all.map(({ x }) => x));
  const up = linearScale(all.map(({ y }) => y));
  const x = (value: number): number => pixel(LEFT + across.place(value) * (WIDTH - LEFT - RIGHT));
  const y = (value: number): number => pixel(HEIGHT - BOTTOM - up.place(value) * (HEIGHT - BOTTOM - TOP));
  return html`<figure><svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
${up.ticks.map((tick) => html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(tick)}" y2="${y(tick)}"/><text class="tick" x="${LEFT - 8}" y="${y(tick) + 4}" text-anchor="end">${up.label(tick)}</text>`)}
${across.ticks.map((tick) => html`<text class="tick" x="${x(tick)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${across.label(tick)}</text>`)}
${thinned.map(({ label, points }, index) => {
  const place = points.map((point) => `${x(point.x)},${y(point.y)}`).join(" ");
  return html`<polyline class="curve colour-${index % COLOURS}" points="${place}"><title>${label}</title></polyline>`;
})}
<text class="unit" x="${LEFT}" y="${HEIGHT - 8}">${xLabel}</text><text class="unit" x="${LEFT}" y="${TOP - 12}">${yLabel}</text></svg>
<figcaption class="legend">${curves.map(({ label }, index) => html`<span><i class="colour-${index % COLOURS}"></i>${label}</span>`)}</figcaption></figure>`;
}

function thin(points: Curve["points"]): Curve["points"] {
  const finite = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
  if (finite.length <= MOST_POINTS) return finite;
  const size = finite.length / MOST_POINTS;
  return Array.from({ length: MOST_POINTS }, (_, index) => {
    const group = finite.slice(Math.floor(index * size), Math.floor((index + 1) * size));
    const mean = (key: "x" | "y"): number => group.reduce((total, point) => total + point[key], 0) / group.length;
    return { x: mean("x"), y: mean("y") };
  });
}
