/** Numbers as the report writes them. */

/** Places that a figure in this unit is worth: four of nats per byte, two of percentages and scores. */
function placesOf(unit: string): number {
  return unit.startsWith("nats") ? 4 : 2;
}

/** A benchmark's figure, without its unit: `0.1394`, `57.46`. */
export function figure(value: number, unit: string): string {
  return value.toFixed(placesOf(unit));
}

/** The same of a difference: `+0.0012`, or `\u22121.30` with a true minus. */
export function signedFigure(value: number, unit: string): string {
  return value < 0 ? `\u2212${figure(-value, unit)}` : `+${figure(value, unit)}`;
}

/** `p < 0.001`, `p = 0.012`. */
export function pValue(p: number): string {
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
}

/** `length_controlled_win_rate` as words. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** `12,345`. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `0.0123`, `1.5e-6`: three significant digits. */
export function short(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(3))) : value.toExponential(2);
}

export function seconds(value: number): string {
  if (value < 60) return `${value.toFixed(1)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
}
