/**
 * Two tokenisations laid over the same bytes: columns between all boundaries of either, and each token a cell over the
 * columns that it covers. A token without bytes (end of turn) has a column of its own where it stands.
 */

/** Where a token lies, bytes. */
export interface Span {
  readonly byte_start: number;
  readonly byte_end: number;
}

/** Token `token` of a side over `columns` columns; -1 where the side has none there. */
export interface GridCell {
  readonly token: number;
  readonly columns: number;
}

export interface GridLine {
  readonly columns: number;
  readonly pivot: readonly GridCell[];
  readonly source: readonly GridCell[];
}

/** More columns than these end a line too: tokens of part of a character take six signs a byte. */
const COLUMNS = 14;

interface Column {
  readonly start: number;
  readonly end: number;
  /** Tokens, -1 without one. */
  readonly pivot: number;
  readonly source: number;
}

/** Lines of about `bytes` bytes: each ends where both sides have a boundary. Both lists are in the order of the text. */
export function tokenGrid(pivot: readonly Span[], source: readonly Span[], bytes: number): GridLine[] {
  const lines: Column[][] = [];
  let line: Column[] = [];
  for (const column of columnsOf(pivot, source)) {
    if (startsLine(column, line, bytes)) {
      lines.push(line);
      line = [];
    }
    line.push(column);
  }
  if (line.length > 0) lines.push(line);
  return lines.map((columns) => ({
    columns: columns.length,
    pivot: cells(columns.map((column) => column.pivot)),
    source: cells(columns.map((column) => column.source)),
  }));
}

function startsLine(column: Column, line: readonly Column[], bytes: number): boolean {
  const before = line.at(-1);
  if (before === undefined || column.end === column.start) return false;
  if (line.length < COLUMNS && column.start - line[0]!.start < bytes) return false;
  return before.pivot !== column.pivot && before.source !== column.source;
}

function columnsOf(pivot: readonly Span[], source: readonly Span[]): Column[] {
  const ends = [...pivot, ...source].flatMap(({ byte_start, byte_end }) => [byte_start, byte_end]);
  const positions = [...new Set(ends)].sort((a, b) => a - b);
  const columns: Column[] = [];
  for (const [index, start] of positions.entries()) {
    const here = [pivot, source].map((side) => emptyAt(side, start)) as [number[], number[]];
    for (let i = 0; i < Math.max(here[0].length, here[1].length); i++) {
      columns.push({
        start,
        end: start,
        pivot: here[0][i] ?? covering(pivot, start - 0.5, start + 0.5),
        source: here[1][i] ?? covering(source, start - 0.5, start + 0.5),
      });
    }
    const end = positions[index + 1];
    if (end === undefined) break;
    columns.push({ start, end, pivot: covering(pivot, start, end), source: covering(source, start, end) });
  }
  return columns;
}

function emptyAt(side: readonly Span[], position: number): number[] {
  return side.flatMap(({ byte_start, byte_end }, index) =>
    byte_start === position && byte_end === position ? [index] : [],
  );
}

function covering(side: readonly Span[], start: number, end: number): number {
  return side.findIndex(({ byte_start, byte_end }) => byte_start <= start && end <= byte_end);
}

function cells(tokens: readonly number[]): GridCell[] {
  const result: { token: number; columns: number }[] = [];
  for (const token of tokens) {
    const last = result.at(-1);
    if (last?.token === token) last.columns++;
    else result.push({ token, columns: 1 });
  }
  return result;
}
