/**
 * Several models over the same axes, as closed lines around a centre. Lines differ in colour and in dashes, so that
 * they can be told apart without colour; the scale begins where the caller says, because a radar that is cut off at its
 * lowest value makes small differences look large.
 */
import { html, type Markup } from "../html.ts";
import { pixel } from "./axis.ts";

export interface RadarLine {
  readonly label: string;
  /** Chooses the colour, as in interval charts: `pivot`, `source`, `target`, `fused`, `merge`, `baseline`. */
  readonly kind: string;
  /** One an axis; undefined where there is no figure: the line then has a gap. */
  readonly values: readonly (number | undefined)[];
}

export interface Radar {
  readonly title: string;
  /** Clockwise from the top; three or more. */
  readonly axes: readonly string[];
  readonly lines: readonly RadarLine[];
  /** The value at the centre, and at the outermost ring. */
  readonly low: number;
  readonly high: number;
  /** Values of the rings. */
  readonly rings: readonly number[];
  /** How a value is written. */
  figure(value: number): string;
}

const WIDTH = 760;
const HEIGHT = 410;
const RADIUS = 165;
/** From the outermost ring to an axis's name. */
const GAP = 14;
const DASHES = ["none", "9 4", "2 3", "12 3 2 3", "5 2", "1 4", "9 3 1 3 1 3", "4 6"];

export function radar({ title, axes, lines, low, high, rings, figure }: Radar): Markup {
  const [centreX, centreY] = [WIDTH / 2, HEIGHT / 2];
  const at = (axis: number, radius: number): { x: number; y: number } => {
    const angle = (2 * Math.PI * axis) / axes.length;
    return { x: pixel(centreX + radius * Math.sin(angle)), y: pixel(centreY - radius * Math.cos(angle)) };
  };
  const radiusOf = (value: number): number => (RADIUS * Math.min(Math.max(value - low, 0), high - low)) / (high - low);
  const place = ({ x, y }: { x: number; y: number }): string => `${x},${y}`;
  return html`<figure><svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
${rings.map((ring) => html`<polygon class="grid" fill="none" points="${axes.map((_, axis) => place(at(axis, radiusOf(ring)))).join(" ")}"/>`)}
${axes.map((name, axis) => {
  const [end, label] = [at(axis, RADIUS), at(axis, RADIUS + GAP)];
  return html`<line class="grid" x1="${centreX}" y1="${centreY}" x2="${end.x}" y2="${end.y}"/><text class="label" x="${label.x}" y="${pixel(label.y + 4)}" text-anchor="${anchor(label.x - centreX)}">${name}</text>`;
})}
${rings.map((ring) => {
  // Half way between the first two axes, where no point of a line can be.
  const { x, y } = at(0.5, radiusOf(ring) * Math.cos(Math.PI / axes.length));
  return html`<text class="tick" x="${x}" y="${pixel(y + 4)}" text-anchor="middle">${String(ring)}</text>`;
})}
${lines.map((line, index) => radarLine(line, index))}</svg>
<figcaption class="legend">${lines.map((line, index) => html`<span>${swatch(line, index)} ${line.label}</span>`)}</figcaption></figure>`;

  function radarLine({ label, kind, values }: RadarLine, index: number): Markup {
    const points = axes.flatMap((name, axis) => {
      const value = values[axis];
      return value === undefined || !Number.isFinite(value)
        ? []
        : [{ name, axis, value, ...at(axis, radiusOf(value)) }];
    });
    const dash = DASHES[index % DASHES.length]!;
    // A side between two axes that follow each other; with all of them, the line is closed.
    const sides = points.flatMap((from) => {
      const to = points.find(({ axis }) => axis === (from.axis + 1) % axes.length);
      return to === undefined ? [] : [`M${place(from)}L${place(to)}`];
    });
    const whole = `M${points.map(place).join("L")}Z`;
    return html`<g style="${stroke(kind)}"><title>${label}</title><path class="curve" stroke-dasharray="${dash}" d="${points.length === axes.length ? whole : sides.join("")}"/>${points.map(
      ({ x, y, name, value }) =>
        html`<circle class="curve" cx="${x}" cy="${y}" r="3.5"><title>${label}, ${name}: ${figure(value)}</title></circle>`,
    )}</g>`;
  }
}

/** A label stands away from the centre: to the left of its place on the left side, to the right on the right. */
function anchor(offset: number): "start" | "middle" | "end" {
  if (Math.abs(offset) < 1) return "middle";
  return offset < 0 ? "end" : "start";
}

/** A piece of the line, with its dashes. */
function swatch({ kind }: RadarLine, index: number): Markup {
  return html`<svg width="34" height="10" viewBox="0 0 34 10" aria-hidden="true"><line class="curve" style="${stroke(kind)}" stroke-dasharray="${DASHES[index % DASHES.length]!}" x1="1" x2="33" y1="5" y2="5"/></svg>`;
}

function stroke(kind: string): string {
  return `stroke:var(--${kind},var(--noise))`;
}
