/**
 * The papers' sequence alignment (FuseLLM, section 3.3; FuseChat), for comparison with `bytes`: dynamic time warping of
 * the two token lists of a response, where a pair costs the Levenshtein distance of the two tokens' own bytes; the way
 * back prefers diagonal, then left (the pivot's token meets one more of the source), then up.
 *
 * What a row is: the distribution of row r is the softmax that *predicts* its label token r, made after reading the
 * tokens before it. So a source row may stand in for a pivot row only where both models have read the same text, and
 * warping must pair what was read, not what is predicted: if the tokens i and j are paired and end at the same byte,
 * the rows *after* them belong together. Each list therefore begins with the prompt, an empty token that costs the
 * other's whole length beside anything but the other prompt: the row after it is the first of the response. (Pairing
 * row i with row j itself would be the released code's way of reading labels as inputs, off by one.)
 *
 * Which of the pairs on the way are taken, by the papers' cases:
 * - one token to one, and the last of several pivot tokens on one of the source: where both end at the same byte. Then
 *   one is a suffix of the other, which is the test of the papers' code; suffixes alone also pass by accident (an `s`
 *   that meets another `s`), so the spans decide.
 * - one pivot token to several of the source: the one that ends where it ends. The papers' code takes the first suffix
 *   (the first `a` of `a` `a` against `aa`), or the last of all where their concatenation rebuilds the token.
 * - several to several: never arises, as a step on both lists is never dearer than one on each, and wins ties.
 * - no token that ends together with it: none.
 *
 * So no row is wrong, and every aligned row is one that `bytes` aligns too; what is missing is where the cheapest way
 * is not the true one. Tokens that take no bytes of the text are left out, and so are those that begin after the end of
 * the other's response, where that was cut. End of turn meets end of turn by its role.
 */
import { createEditDistance } from "../edit-distance.ts";
import type { AlignRows, RowSpans, SequenceAlignment } from "../sequence.ts";
import { type WarpingPath, warp } from "./time-warping.ts";

export const alignByWarping: AlignRows = (pivot, pivotFrom, pivotTo, source, sourceFrom, sourceTo, out) => {
  out.fill(-1, pivotFrom, pivotTo);
  let shared = 0;
  let i = pivotFrom;
  let j = sourceFrom;
  while (i < pivotTo && j < sourceTo) {
    const turn = pivot.turn[i]!;
    const sourceTurn = source.turn[j]!;
    const iEnd = turn <= sourceTurn ? turnEnd(pivot.turn, i, pivotTo) : i;
    const jEnd = sourceTurn <= turn ? turnEnd(source.turn, j, sourceTo) : j;
    if (turn === sourceTurn) {
      const end = Math.min(pivot.byteEnd[iEnd - 1]!, source.byteEnd[jEnd - 1]!);
      const here = tokensBefore(end, pivot, i, iEnd);
      const there = tokensBefore(end, source, j, jEnd);
      for (const [row, sourceRow] of sharedRows(here, there)) {
        out[row] = sourceRow - sourceFrom;
        shared++;
      }
      if (pivot.endOfTurn[iEnd - 1] === 1 && source.endOfTurn[jEnd - 1] === 1) {
        out[iEnd - 1] = jEnd - 1 - sourceFrom;
        shared++;
      }
    }
    i = iEnd;
    j = jEnd;
  }
  return shared;
};

export const dynamicProgramming: SequenceAlignment = {
  name: "dynamic-programming",
  summary: "rows after tokens that warping by edit distance pairs and that end together",
  source: "FuseLLM (Wan et al., ICLR 2024); FuseChat (Wan et al., 2024)",
  align: alignByWarping,
};

function turnEnd(turn: Uint16Array, from: number, to: number): number {
  let end = from + 1;
  while (end < to && turn[end] === turn[from]) end++;
  return end;
}

/** The prompt and the tokens of a response: token 0 is the prompt, token t the label of row `row[t]`. */
interface Tokens {
  readonly rows: RowSpans;
  readonly count: number;
  readonly row: Int32Array;
  /** [count] which of the different tokens of the response it is; the prompt is 0. */
  readonly kind: Int32Array;
  /** [kinds] */
  readonly bytes: readonly Uint8Array[];
}

/** The tokens of a turn that take bytes and begin before `end`. */
function tokensBefore(end: number, rows: RowSpans, from: number, to: number): Tokens {
  const row = new Int32Array(to - from + 1);
  const kind = new Int32Array(to - from + 1);
  const kinds = new Map<number, number>();
  const bytes: Uint8Array[] = [new Uint8Array(0)];
  let count = 1;
  for (let r = from; r < to && rows.byteStart[r]! < end; r++) {
    if (rows.byteStart[r] === rows.byteEnd[r]) continue;
    const token = rows.token[r]!;
    let known = kinds.get(token);
    if (known === undefined) {
      known = bytes.length;
      kinds.set(token, known);
      bytes.push(rows.bytes(token));
    }
    row[count] = r;
    kind[count++] = known;
  }
  return { rows, count, row, kind, bytes };
}

/** The pairs of rows after tokens that the cheapest way pairs and that end at the same byte. */
function* sharedRows(pivot: Tokens, source: Tokens): Generator<[number, number], void, void> {
  const { firstColumn, lastColumn } = cheapestWay(pivot, source);
  for (let i = 0; i + 1 < pivot.count; i++) {
    const row = pivot.row[i + 1]!;
    const start = pivot.rows.byteStart[row]!;
    for (let j = firstColumn[i]!; j <= lastColumn[i]! && j + 1 < source.count; j++) {
      const sourceRow = source.row[j + 1]!;
      if (source.rows.byteStart[sourceRow] === start) yield [row, sourceRow];
    }
  }
}

/** Warps the two lists; a distance is measured once for each two different tokens that the way comes near to. */
function cheapestWay(pivot: Tokens, source: Tokens): WarpingPath {
  const width = source.bytes.length;
  const known = new Uint16Array(pivot.bytes.length * width).fill(UNKNOWN);
  const { from, to } = createEditDistance();
  let measuring = -1;
  const cost = (i: number, j: number): number => {
    const kind = pivot.kind[i]!;
    const sourceKind = source.kind[j]!;
    const distance = known[kind * width + sourceKind]!;
    if (distance !== UNKNOWN) return distance;
    if (measuring !== kind) from(pivot.bytes[kind]!);
    measuring = kind;
    const bytes = source.bytes[sourceKind]!;
    const measured = Math.min(to(bytes, 0, bytes.length, Infinity), UNKNOWN - 1);
    known[kind * width + sourceKind] = measured;
    return measured;
  };
  return warp({
    rows: pivot.count,
    columns: source.count,
    cost,
    leastOfRow: leastCosts(pivot, source),
    leastOfColumn: leastCosts(source, pivot),
    bound: costOfOverlaps(pivot, source, cost),
  });
}

/** Tokens have fewer bytes than this. */
const UNKNOWN = 0xffff;

/** [tokens] 1 for tokens that the other response does not have: they cost something beside any of it. */
function leastCosts(tokens: Tokens, other: Tokens): Int32Array {
  const spelling = (bytes: Uint8Array): string =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const there = new Set(other.bytes.map(spelling));
  const ofKind = tokens.bytes.map((bytes) => (there.has(spelling(bytes)) ? 0 : 1));
  return Int32Array.from({ length: tokens.count }, (_, i) => ofKind[tokens.kind[i]!]!);
}

/** The cost of the way that pairs the tokens whose spans overlap: nearly the cheapest. */
function costOfOverlaps(pivot: Tokens, source: Tokens, cost: (i: number, j: number) => number): number {
  let i = 0;
  let j = 0;
  let sum = cost(0, 0);
  while (i + 1 < pivot.count || j + 1 < source.count) {
    const end = i === 0 ? 0 : pivot.rows.byteEnd[pivot.row[i]!]!;
    const sourceEnd = j === 0 ? 0 : source.rows.byteEnd[source.row[j]!]!;
    const onPivot = j + 1 === source.count || (i + 1 < pivot.count && end <= sourceEnd);
    const onSource = i + 1 === pivot.count || (j + 1 < source.count && sourceEnd <= end);
    if (onPivot) i++;
    if (onSource) j++;
    sum += cost(i, j);
  }
  return sum;
}
