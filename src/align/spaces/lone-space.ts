/**
 * Tokens of white space alone. Where one model writes a space as a token of its own and the other begins a word with it,
 * the two stand at different places of the same text, and what each may say next differs by more than a vocabulary:
 *
 * - The source writes ` `, `The`, the pivot ` The`: the pivot's row belongs to the source's row of the space, which does
 *   not tell the words that may follow. The next row does, so that both together are read: P(` `) P(`The` | ` `) beside
 *   the words that begin with their space (`joined-reader.ts`). At the beginning of a response such a space is the
 *   template's, its span is empty, and the row that begins at the same byte is the one behind it: `alignLeads` sees to it.
 * - The pivot has written ` ` and goes on with `Gono`: it does not say `Mostly` there, which it would have begun with
 *   ` M`. What the source says of such words is left out, and the rest divided by its sum (`following.ts`).
 *
 * Both are what `within: conditional` asks for: distributions given what the pivot has written.
 */
import type { Part } from "../paired-conversations.ts";
import type { TokenBytes } from "../units/shared-vocabulary.ts";

/** Tab, line feed, vertical tab, form feed, carriage return and space. */
const WHITE_SPACE: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20]);

/** Of both models, by token: 1 where it is white space alone. */
export interface SpaceTokens {
  readonly pivot: Uint8Array;
  readonly source: Uint8Array;
}

/** [size] 1 for tokens of white space alone. */
export function loneSpaces({ size, byteLength, special, bytes }: TokenBytes): Uint8Array {
  return Uint8Array.from({ length: size }, (_, id) => {
    if (special[id] === 1 || byteLength[id]! <= 0) return 0;
    return bytes(id).every((byte) => WHITE_SPACE.has(byte)) ? 1 : 0;
  });
}

/**
 * Lets both models begin a response together, also where one or both write its space as a token of its own, before the
 * first byte of it: the first row of the pivot's shares the first of the source's, whether it is the row of the first
 * word or of the space. `shared` as in `findWithinRows`; returns how many rows more are shared.
 */
export function alignLeads(pivot: Part, source: Part, spaces: SpaceTokens, shared: Int32Array): number {
  let more = 0;
  const { turn } = pivot.side.spans;
  for (let first = pivot.from; first < pivot.to; first++) {
    if (first > pivot.from && turn[first - 1] === turn[first]) continue;
    const word = wordFrom(pivot, first, spaces.pivot);
    if (word === -1 || shared[word] === -1) continue;
    const there = source.from + shared[word]!;
    let begin = there;
    const sourceTurn = source.side.spans.turn;
    while (begin > source.from && sourceTurn[begin - 1] === sourceTurn[there]) begin--;
    // Where something else comes before the response, a reasoning tag, its row is not the first of both.
    if (wordFrom(source, begin, spaces.source) !== there) continue;
    if (first < word) more++;
    shared[first] = begin - source.from;
  }
  return more;
}

/** The first row from `first` on that has bytes of the response, where only spaces come before it; else -1. */
function wordFrom({ side: { spans }, to }: Part, first: number, isSpace: Uint8Array): number {
  for (let row = first; row < to && spans.turn[row] === spans.turn[first] && spans.endOfTurn[row] === 0; row++) {
    if (spans.byteEnd[row]! > spans.byteStart[row]!) return row;
    if (isSpace[spans.token[row]!] !== 1) return -1;
  }
  return -1;
}
