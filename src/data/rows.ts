/**
 * The rows of a rendered and tokenised conversation (FORMATS, "From conversation to rows"): one for every token that
 * the model predicts inside a response, one for its end of turn.
 */
import type { Encoding, Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Rows } from "./conversation.ts";

/** One assistant turn in the rendered text; all offsets are UTF-8 bytes. */
export interface Response {
  /** Index of the turn in the conversation. */
  readonly turn: number;
  /** In the text: where its prompt ends, and where the response begins and ends. */
  readonly promptEnd: number;
  readonly start: number;
  readonly end: number;
  /** Where the response begins in the turn's original content, and that content's length. */
  readonly contentStart: number;
  readonly contentBytes: number;
}

/**
 * `responses` in order. `length` tokens are kept; the last response may be cut by that. `bytes` is the divisor of nats
 * per byte: the whole content plus one for the end-of-turn row; of a cut response the bytes that its rows reach.
 */
export function rowsOf(
  encoding: Encoding,
  length: number,
  responses: readonly Response[],
  tokenizer: Pick<Tokenizer, "isSpecial">,
): { rows: Rows; bytes: number } {
  const position: number[] = [];
  const turn: number[] = [];
  const byteStart: number[] = [];
  const byteEnd: number[] = [];
  const lead: number[] = [];
  let bytes = 0;
  for (const [order, response] of responses.entries()) {
    const push = (index: number, from: number, to: number, before: number): void => {
      // Nothing precedes the first token of all, so no distribution is ever its row's.
      if (index === 0) return;
      position.push(index);
      turn.push(response.turn);
      byteStart.push(from);
      byteEnd.push(to);
      lead.push(Math.min(before, 255));
    };
    let index = firstStartingAt(encoding.byteStart, response.promptEnd);
    let reached = 0;
    for (; index < length && encoding.byteStart[index]! < response.end; index++) {
      const start = encoding.byteStart[index]!;
      const end = encoding.byteEnd[index]!;
      const inGap = end <= response.start;
      const from = response.contentStart + Math.max(0, start - response.start);
      const to = inGap ? from : response.contentStart + Math.min(end, response.end) - response.start;
      push(index, from, to, inGap || start === end ? 0 : Math.max(0, response.start - start) + encoding.lead[index]!);
      reached = to;
    }
    // An end of turn lies before the next response: a special token beyond belongs to that one.
    const limit = responses[order + 1]?.promptEnd ?? Number.POSITIVE_INFINITY;
    while (index < length && encoding.byteStart[index]! < limit && !tokenizer.isSpecial(encoding.ids[index]!))
      index += 1;
    const closed = index < length && encoding.byteStart[index]! < limit;
    if (closed) push(index, response.contentBytes, response.contentBytes, 0);
    const cut = index >= length && length < encoding.ids.length;
    bytes += cut ? reached : response.contentBytes + (closed ? 1 : 0);
  }
  return {
    rows: {
      position: Int32Array.from(position),
      turn: Uint16Array.from(turn),
      byteStart: Int32Array.from(byteStart),
      byteEnd: Int32Array.from(byteEnd),
      lead: Uint8Array.from(lead),
    },
    bytes,
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
