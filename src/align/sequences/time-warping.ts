/**
 * Dynamic time warping of two lists: the cheapest way to walk both from the first pair to the last, where each step
 * goes forward on one list or on both, and every pair on the way costs what its two elements differ by,
 *
 *     D(i, j) = cost(i, j) + min(D(i-1, j-1), D(i, j-1), D(i-1, j)).
 *
 * The whole matrix of two lists of 700 has half a million cells. A cell is left out where even the cheapest way through
 * it, D(i, j) + h(i, j), costs more than a way that is known already. The path is exact all the same:
 *
 * - h is the larger of two sums: the least that the remaining rows must cost, each being on the way at least once, and
 *   the same for the remaining columns. So h(i, j) is no more than what is left to pay; and h falls by at most cost(p)
 *   in a step to a pair p, because that step enters one row and one column at most.
 * - Let a cell be kept with D + h at most the bound. Its best predecessor has D + h no larger, by the second property,
 *   and was therefore kept: every kept cell has its exact value.
 * - A way through a left-out cell costs more than the bound, which is a way's cost: no cheapest way goes there. In the
 *   back-trace a predecessor that ties with the smallest lies on a cheapest way too: no tie is lost.
 */

/** What the walk needs to know of the lists; all numbers are whole. */
export interface WarpingProblem {
  readonly rows: number;
  readonly columns: number;
  /** Cost of a pair, at least `leastOfRow[i]` and `leastOfColumn[j]`. */
  cost(row: number, column: number): number;
  /** [rows], [columns] lower bounds of the costs of all pairs of a row or column. */
  readonly leastOfRow: Int32Array;
  readonly leastOfColumn: Int32Array;
  /** Cost of some way from the first pair to the last. */
  readonly bound: number;
}

/** The pairs on the way: row i meets columns `firstColumn[i] .. lastColumn[i]`. */
export interface WarpingPath {
  readonly firstColumn: Int32Array;
  readonly lastColumn: Int32Array;
  readonly cost: number;
}

const DIAGONAL = 0;
const LEFT = 1;
const UP = 2;
/** Above every cost, and the sum of two is still a 32-bit number. */
const NEVER = 0x3fffffff;

/** The path that is found walking back from the last pair, preferring among equals diagonal, then left, then up. */
export function warp(problem: WarpingProblem): WarpingPath {
  const { rows, columns, bound, cost } = problem;
  const restOfRows = sumsAfter(problem.leastOfRow);
  const restOfColumns = sumsAfter(problem.leastOfColumn);
  /** Row i's moves are `moves[begin[i] + j - first[i]]`, for the columns that were visited. */
  const first = new Int32Array(rows);
  const begin = new Int32Array(rows);
  let moves = new Uint8Array(16 * (rows + columns));
  let used = 0;

  // Columns are shifted by one, so that the column before the first is there to be read.
  let above = new Int32Array(columns + 2).fill(NEVER);
  let current = new Int32Array(columns + 2).fill(NEVER);
  // Columns from..to of the row above hold values; on the first row the way begins at its corner.
  above[0] = 0;
  let from = 0;
  let to = -1;
  for (let i = 0; i < rows; i++) {
    if (moves.length < used + columns) moves = grown(moves, used + columns);
    first[i] = from;
    begin[i] = used;
    const restOfRow = restOfRows[i]!;
    let newFrom = -1;
    let newTo = -1;
    let left = NEVER;
    let diagonal = above[from]!;
    for (let j = from; j < columns; j++) {
      const up = j <= to ? above[j + 1]! : NEVER;
      let value = diagonal;
      let move = DIAGONAL;
      if (left < value) {
        value = left;
        move = LEFT;
      }
      if (up < value) {
        value = up;
        move = UP;
      }
      diagonal = up;
      if (value === NEVER && j > to) break;
      if (value !== NEVER) value += cost(i, j);
      const rest = restOfColumns[j]!;
      if (value + (rest > restOfRow ? rest : restOfRow) > bound) {
        value = NEVER;
      } else {
        if (newFrom < 0) newFrom = j;
        newTo = j;
      }
      current[j + 1] = value;
      moves[used++] = move;
      left = value;
    }
    from = newFrom;
    to = newTo;
    [above, current] = [current, above];
    // What lies before the first value of the row counts as never; after the last one it is not read.
    above[from] = NEVER;
  }
  return trace(rows, columns, moves, begin, first, above[columns]!);
}

function trace(
  rows: number,
  columns: number,
  moves: Uint8Array,
  begin: Int32Array,
  first: Int32Array,
  cost: number,
): WarpingPath {
  const firstColumn = new Int32Array(rows);
  const lastColumn = new Int32Array(rows);
  let i = rows - 1;
  let j = columns - 1;
  lastColumn[i] = j;
  while (i > 0 || j > 0) {
    const move = moves[begin[i]! + j - first[i]!];
    if (move !== UP) j--;
    if (move === LEFT) continue;
    firstColumn[i] = move === UP ? j : j + 1;
    lastColumn[--i] = j;
  }
  return { firstColumn, lastColumn, cost };
}

/** [n] the sum of all later values. */
function sumsAfter(values: Int32Array): Int32Array {
  const sums = new Int32Array(values.length);
  for (let i = values.length - 1; i > 0; i--) sums[i - 1] = sums[i]! + values[i]!;
  return sums;
}

function grown(values: Uint8Array<ArrayBuffer>, needed: number): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(Math.max(needed, 2 * values.length));
  result.set(values);
  return result;
}
