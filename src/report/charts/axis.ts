/** Scales of charts: from data to pixels, and the round numbers that are written beside an axis. */

export interface Scale {
  readonly low: number;
  readonly high: number;
  /** Round numbers from low to high. */
  readonly ticks: readonly number[];
  /** How a tick is written: as many places as its step has. */
  label(tick: number): string;
  /** Data to a place between 0 and 1. */
  place(value: number): number;
}

/** A linear scale over the finite ones of these values, widened to round numbers; about `count` ticks. */
export function linearScale(values: readonly number[], count = 5): Scale {
  const finite = values.filter(Number.isFinite);
  let low = finite.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  let high = finite.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  if (finite.length === 0) [low, high] = [0, 1];
  if (low === high) {
    const room = Math.abs(low) * 0.1 || 1;
    [low, high] = [low - room, high + room];
  }
  const step = roundStep((high - low) / count);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const [begin, end] = [first * step, last * step];
  return {
    low: begin,
    high: end,
    ticks: Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step),
    label: (tick) => tick.toFixed(places).replace("-", "\u2212"),
    place: (value) => (value - begin) / (end - begin),
  };
}

/** 1, 2 or 5 times a power of ten, the nearest above. */
function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5].find((candidate) => candidate * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/** Pixels with one decimal: enough for a screen, and the same text on every machine. */
export function pixel(value: number): number {
  return Math.round(value * 10) / 10;
}
