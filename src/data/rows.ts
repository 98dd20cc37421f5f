/**
 * The rows of a rendered and tokenised conversation (FORMATS, "From conversation to rows"): one for every token that
 * the model predicts inside a response, one for its end of turn.
 */
import type { Encoding, Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Rows } from "./conversation.ts";
import type { BytePiece, Response } from "./responses.ts";

export interface RowsOfConversation {
  readonly rows: Rows;
  /** The divisor of its nats per byte. */
  readonly bytes: number;
  /** Responses that end within the kept tokens, and have no end of turn. */
  readonly unclosed: number;
  /** Responses of which the template leaves something out. */
  readonly shortened: number;
}

/**
 * `responses` in order. `length` tokens are kept; the last response may be cut by that. `bytes` counts the responses as
 * they stand in the text, each plus one for its end-of-turn row; of a cut response the bytes that its rows reach.
 */
export function rowsOf(
  encoding: Encoding,
  length: number,
  responses: readonly Response[],
  tokenizer: Pick<Tokenizer, "isAdded" | "tokenText">,
): RowsOfConversation {
  const columns = createColumns();
  let bytes = 0;
  let unclosed = 0;
  let shortened = 0;
  for (const [order, response] of responses.entries()) {
    const spans = spansIn(response);
    const from = Math.max(response.start, response.promptEnd);
    let index = firstRow(encoding, response);
    let reached = from;
    for (; index < length && encoding.byteStart[index]! < response.end; index++) {
      const start = encoding.byteStart[index]!;
      const end = encoding.byteEnd[index]!;
      const span = spans(start, end);
      columns.push(index, response.turn, { ...span, lead: span.lead + (span.isEmpty ? 0 : encoding.lead[index]!) });
      reached = Math.max(reached, Math.min(end, response.end));
    }
    // An end of turn lies before the next response: a token beyond belongs to that one.
    const limit = responses[order + 1]?.promptEnd ?? Number.POSITIVE_INFINITY;
    while (index < length && encoding.byteStart[index]! < limit && !closesTurn(tokenizer, encoding.ids[index]!)) {
      index += 1;
    }
    const closed = index < length && encoding.byteStart[index]! < limit;
    const { originalBytes } = response;
    const leftOut = response.leftOut.at(-1)!;
    if (closed) {
      columns.push(index, response.turn, { start: originalBytes, end: originalBytes, lead: 0, leftOut }, true);
    }
    const cut = index >= length && length < encoding.ids.length;
    bytes += cut ? reached - from : Math.max(0, response.end - from) + (closed ? 1 : 0);
    if (!closed && !cut) unclosed++;
    if (leftOut !== 0n) shortened++;
  }
  return { rows: columns.rows(), bytes, unclosed, shortened };
}

/**
 * The tokens that can end a turn: those that a tokenizer's files add to its vocabulary, whatever flag they have, and
 * among them only what is no white space (Gemma's files add runs of spaces and line feeds).
 */
function closesTurn(tokenizer: Pick<Tokenizer, "isAdded" | "tokenText">, id: number): boolean {
  return tokenizer.isAdded(id) && (tokenizer.tokenText(id) ?? "").trim() !== "";
}

/**
 * The token of a response's first row: the first that starts at or after the prompt's end; or the one before, where
 * of the prompt it has only the white space at its end, and swallows it together with the response's beginning.
 */
function firstRow({ byteStart, byteEnd }: Encoding, { promptEnd, promptSpace }: Response): number {
  const first = firstStartingAt(byteStart, promptEnd);
  const before = first - 1;
  const swallows = before >= 0 && byteStart[before]! >= promptEnd - promptSpace && byteEnd[before]! > promptEnd;
  return swallows ? before : first;
}

interface Span {
  /** In the original. */
  readonly start: number;
  readonly end: number;
  /** Bytes of the text that the token takes before its span. */
  readonly lead: number;
  readonly leftOut: bigint;
}

/** What a token of the text, given by its bytes there, spells of the original; ask in ascending order. */
function spansIn({ pieces, end, originalBytes, leftOut }: Response): (
  from: number,
  to: number,
) => Span & {
  readonly isEmpty: boolean;
} {
  let index = 0;
  return (from, to) => {
    while (index < pieces.length && endOf(pieces[index]!) <= from) index++;
    const piece = pieces[index];
    if (piece === undefined) {
      return { start: originalBytes, end: originalBytes, lead: 0, leftOut: leftOut.at(-1)!, isEmpty: true };
    }
    const start = piece.original + Math.max(0, from - piece.text);
    // Wholly inside what the template has put before the piece.
    if (to <= piece.text) return { start, end: start, lead: 0, leftOut: leftOut[index]!, isEmpty: true };
    const stop = Math.min(to, end);
    let last = index;
    while (last + 1 < pieces.length && pieces[last + 1]!.text < stop) last++;
    const { text, original, length } = pieces[last]!;
    const spelled = original + Math.min(length, stop - text);
    return {
      start,
      end: spelled,
      lead: from === to ? 0 : Math.max(0, piece.text - from),
      leftOut: leftOut[index]!,
      isEmpty: from === to,
    };
  };
}

function endOf({ text, length }: BytePiece): number {
  return text + length;
}

function createColumns() {
  const position: number[] = [];
  const turn: number[] = [];
  const byteStart: number[] = [];
  const byteEnd: number[] = [];
  const lead: number[] = [];
  const endOfTurn: number[] = [];
  const leftOutRow: number[] = [];
  const leftOut: bigint[] = [];
  let before = 0n;
  return {
    push: (index: number, ofTurn: number, span: Span, closes = false): void => {
      // Nothing precedes the first token of all, so no distribution is ever its row's.
      if (index === 0) return;
      const row = position.length;
      if (turn.at(-1) !== ofTurn) before = 0n;
      if (span.leftOut !== before) {
        leftOutRow.push(row);
        leftOut.push(span.leftOut);
        before = span.leftOut;
      }
      if (closes) endOfTurn.push(row);
      position.push(index);
      turn.push(ofTurn);
      byteStart.push(span.start);
      byteEnd.push(span.end);
      lead.push(Math.min(span.lead, 255));
    },
    rows: (): Rows => ({
      position: Int32Array.from(position),
      turn: Uint16Array.from(turn),
      byteStart: Int32Array.from(byteStart),
      byteEnd: Int32Array.from(byteEnd),
      lead: Uint8Array.from(lead),
      endOfTurn: Int32Array.from(endOfTurn),
      leftOutRow: Int32Array.from(leftOutRow),
      leftOut: BigInt64Array.from(leftOut),
    }),
  };
}

/** Index of the first token that starts at or after a byte; starts ascend. */
function firstStartingAt(byteStart: Int32Array, byte: number): number {
  let low = 0;
  let high = byteStart.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (byteStart[middle]! < byte) low = middle + 1;
    else high = middle;
  }
  return low;
}
