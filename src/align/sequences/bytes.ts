/**
 * Byte alignment: a pivot row may use a source row only where both begin at the same byte of the same turn, because
 * only there have both models read exactly the same text. Both lists run forwards, so one walk over the two suffices:
 * O(N + M). End of turn meets end of turn by its role, whatever its id, spelling or place.
 */
import type { AlignRows, RowSpans, SequenceAlignment } from "../sequence.ts";

/** Rows with an empty span align with nothing, but end of turn with end of turn. */
export const alignBytes: AlignRows = (pivot, pivotFrom, pivotTo, source, sourceFrom, sourceTo, out) => {
  const { turn, byteStart, byteEnd, endOfTurn } = pivot;
  let shared = 0;
  let j = sourceFrom;
  for (let i = pivotFrom; i < pivotTo; i++) {
    out[i] = -1;
    const atTurn = turn[i]!;
    const start = byteStart[i]!;
    const ends = endOfTurn[i]!;
    if (ends === 0 && byteEnd[i] === start) continue;
    const wanted = ends === 1 ? Infinity : start;
    while (j < sourceTo && liesBefore(source, j, atTurn, wanted)) j++;
    if (j === sourceTo || source.turn[j] !== atTurn || source.endOfTurn[j] !== ends) continue;
    if (ends === 0 && source.byteStart[j] !== start) continue;
    out[i] = j - sourceFrom;
    shared++;
  }
  return shared;
};

export const bytes: SequenceAlignment = {
  name: "bytes",
  summary: "rows that begin at the same byte of the same response",
  source: "fusechat",
  align: alignBytes,
};

/** True where source row j can align with nothing from byte `start` of turn `turn` on. */
function liesBefore(source: RowSpans, j: number, turn: number, start: number): boolean {
  const atTurn = source.turn[j]!;
  if (atTurn !== turn) return atTurn < turn;
  if (source.endOfTurn[j] === 1) return false;
  return source.byteStart[j]! < start || source.byteEnd[j] === source.byteStart[j];
}
