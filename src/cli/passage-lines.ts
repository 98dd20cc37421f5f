/** A passage of a response under both tokenisations, as lines of a terminal whose columns are the same bytes. */
import { type GridCell, tokenGrid } from "../align/examples/token-grid.ts";
import type { Passage, PassageToken } from "../report/run-documents.ts";

/** Bytes a line; with the boundaries some 80 columns. */
const LINE_BYTES = 40;
/** Shared rows whose tokens are told, and how many of each. */
const ROWS = 6;
const TOKENS = 3;
/** Smaller probabilities are left out, but for the first. */
const LEAST = 5e-4;

export function formatPassage({ conversation, turn, pivot, source, shared }: Passage): string {
  const numberOf = new Map(shared.map((row, index) => [row.pivot, index + 1]));
  const lines = [`conversation ${conversation}, turn ${turn}: ${shared.length} of ${pivot.length} rows shared`];
  for (const line of tokenGrid(pivot, source, LINE_BYTES)) {
    const rows: LaidRow[] = [
      { title: "shared", bar: " ", cells: textCells(line.pivot, (index) => String(numberOf.get(index) ?? "")) },
      { title: "pivot", bar: "\u2502", cells: textCells(line.pivot, (index) => visibleToken(textOf(pivot, index))) },
      { title: "source", bar: "\u2502", cells: textCells(line.source, (index) => visibleToken(textOf(source, index))) },
    ];
    lines.push(...layRows(rows, line.columns));
  }
  for (const [index, row] of shared.slice(0, ROWS).entries()) {
    const labels = `${inlineToken(textOf(pivot, row.pivot))} / ${inlineToken(textOf(source, row.source))}`;
    lines.push(`  ${index + 1}: ${labels}`);
    const told = row.went.slice(0, TOKENS).filter(({ probability }, rank) => rank === 0 || probability >= LEAST);
    for (const { text, probability, places } of told) {
      const to = places.map((place) => `${inlineToken(place.text)} ${place.probability.toFixed(4)}`).join("  ");
      lines.push(`     ${inlineToken(text)} ${probability.toFixed(4)} \u2192 ${to || "no place"}`);
    }
  }
  return lines.join("\n");
}

/** A token in running output. */
export function inlineToken(text: string): string {
  return `\u2039${visibleToken(text)}\u203a`;
}

/** White space as signs; whatever could steer a terminal, or turn its line round, as a number. */
export function visibleToken(text: string): string {
  return text
    .replaceAll(" ", "\u2423")
    .replaceAll("\n", "\u21b5")
    .replaceAll("\t", "\u21e5")
    .replace(/[\p{Cc}\p{Cf}\p{Z}\p{Cs}\p{Co}]/gu, (sign) => `\\u{${sign.codePointAt(0)!.toString(16)}}`)
    .replace(/^\p{M}/u, "\u25cc$&");
}

interface LaidRow {
  readonly title: string;
  /** Stands at every boundary. */
  readonly bar: string;
  readonly cells: readonly { readonly text: string; readonly columns: number }[];
}

function textOf(tokens: readonly PassageToken[], index: number): string {
  return tokens[index]?.text ?? "";
}

function textCells(cells: readonly GridCell[], text: (index: number) => string): LaidRow["cells"] {
  return cells.map(({ token, columns }) => ({ text: text(token), columns }));
}

/** Columns are as wide as their widest cell; what a cell over several lacks goes to its last one. */
function layRows(rows: readonly LaidRow[], columns: number): string[] {
  const widths = new Array<number>(columns).fill(1);
  const spanOf = (from: number, count: number): number =>
    widths.slice(from, from + count).reduce((sum, width) => sum + width, count - 1);
  for (const single of [true, false]) {
    for (const { cells } of rows) {
      let at = 0;
      for (const cell of cells) {
        const lacking = displayWidth(cell.text) - spanOf(at, cell.columns);
        if ((cell.columns === 1) === single && lacking > 0) widths[at + cell.columns - 1]! += lacking;
        at += cell.columns;
      }
    }
  }
  return rows.map(({ title, bar, cells }) => {
    let at = 0;
    const parts = cells.map((cell) => {
      const room = spanOf(at, cell.columns) - displayWidth(cell.text);
      at += cell.columns;
      return cell.text + " ".repeat(room);
    });
    return `  ${title.padEnd(7)}${bar}${parts.join(bar)}${bar}`.trimEnd();
  });
}

/** Columns of a terminal: East Asian wide signs and pictures take two, marks and joiners none. */
function displayWidth(text: string): number {
  let width = 0;
  for (const sign of text) {
    if (/^(\p{M}|\p{Cf})$/u.test(sign)) continue;
    const isWide =
      /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60]$/u;
    width += isWide.test(sign) ? 2 : 1;
  }
  return width;
}
