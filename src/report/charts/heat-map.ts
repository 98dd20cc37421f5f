/** A table of numbers as shades: rows by columns, darker is more; cells without a number stay empty. */
import { html, type Markup } from "../html.ts";
import { pixel } from "./axis.ts";

export interface HeatMap {
  readonly title: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** Between 0 and 1, or undefined. */
  value(row: number, column: number): number | undefined;
}

const CELL_WIDTH = 46;
const CELL_HEIGHT = 22;
const LABEL_CHARACTER = 6.7;
const TOP = 20;

export function heatMap({ title, rows, columns, value }: HeatMap): Markup {
  const left = pixel(12 + LABEL_CHARACTER * rows.reduce((most, row) => Math.max(most, row.length), 4));
  const width = left + CELL_WIDTH * columns.length + 4;
  const height = TOP + CELL_HEIGHT * rows.length + 4;
  return html`<svg class="chart heat" style="max-width:${width}px" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
${columns.map((column, at) => html`<text class="tick" x="${left + CELL_WIDTH * (at + 0.5)}" y="${TOP - 6}" text-anchor="middle">${column}</text>`)}
${rows.map((row, index) => {
  const y = TOP + CELL_HEIGHT * index;
  return html`<text class="label" x="${left - 8}" y="${y + 15}" text-anchor="end">${row}</text>${columns.map(
    (column, at) => {
      const share = value(index, at);
      if (share === undefined) return undefined;
      const x = left + CELL_WIDTH * at;
      const dark = share > 0.75 ? "cell-text dark" : "cell-text";
      return html`<g><title>${row}, ${column}: ${share.toFixed(4)}</title><rect class="cell" x="${x + 1}" y="${y + 1}" width="${CELL_WIDTH - 2}" height="${CELL_HEIGHT - 2}" rx="3" fill-opacity="${pixel(share * 100) / 100}"/><text class="${dark}" x="${x + CELL_WIDTH / 2}" y="${y + 15}" text-anchor="middle">${share.toFixed(2)}</text></g>`;
    },
  )}`;
})}</svg>`;
}
