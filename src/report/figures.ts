/** Numbers as the report writes them. */

/** `0.1394`; four places show differences of the size that matters. */
export function nats(value: number): string {
  return value.toFixed(4);
}

/** `+0.0012` or `−0.0012`, with a true minus. */
export function signed(value: number): string {
  return value < 0 ? `\u2212${nats(-value)}` : `+${nats(value)}`;
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
