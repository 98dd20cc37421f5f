/**
 * True byte spans of tokens, by walking through the text with the ids in hand: each token's own bytes must be found
 * where the one before ended. Nothing is guessed, and whatever does not fit is an error; so the spans of a finished
 * walk tile the text, and the tokens are proven to spell it.
 *
 * In a SentencePiece text an own space may stand for a space, for a `▁` that is in the text (three bytes), or, once
 * at the beginning of a stretch, for the dummy prefix (no bytes).
 */
import type { AddedToken, DummyPrefix } from "./definition.ts";
import { RANK_NONE, type TokenBytes } from "./token-bytes.ts";
import type { Encoding } from "./tokenizer.ts";

/** How an added token looks in the text that is walked. */
export interface AddedSpelling {
  readonly token: AddedToken;
  /** The content's bytes; of a normalised token those after normalisation, `▁` as a space. */
  readonly bytes: Uint8Array;
  /** The bytes that it stands for where the model put it together as a piece, or null where it is none. */
  readonly piece: Uint8Array | null;
}

export interface Walk {
  readonly tokens: TokenBytes;
  readonly added: ReadonlyMap<number, AddedSpelling>;
  readonly dummyPrefix: DummyPrefix;
  /** Own spaces may stand for `▁` in the text. */
  readonly spaceMarks: boolean;
}

/** Where a walk stopped: the index of the token that does not fit, and the byte of the text. */
export class SpanMismatch extends Error {
  readonly token: number;
  readonly byte: number;

  constructor(token: number, byte: number) {
    super(`token ${token} does not spell the text at byte ${byte}`);
    this.token = token;
    this.byte = byte;
  }
}

const SPACE = 0x20;

/** The spans of `ids` in `text` (UTF-8, normalised). Throws `SpanMismatch` where they do not spell it. */
export function walkSpans(text: Uint8Array, ids: Int32Array, walk: Walk): Encoding {
  const { tokens, added, spaceMarks } = walk;
  const byteStart = new Int32Array(ids.length);
  const byteEnd = new Int32Array(ids.length);
  const lead = new Uint8Array(ids.length);
  let position = 0;
  let dummy = startsWithDummy(text, 0, walk.dummyPrefix);
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index]!;
    byteStart[index] = position;
    const spelling = added.get(id);
    const prefixed = dummy && walk.dummyPrefix === "segment";
    const end = spelling === undefined ? -1 : endOfAdded(text, position, spelling, prefixed, spaceMarks);
    if (spelling !== undefined && end >= 0) {
      position = spelling.token.rstrip ? afterSpaces(text, end) : end;
      // A normalised token is found after the normaliser has put its prefix, so it begins no new stretch there.
      const begins = !spelling.token.normalized || walk.dummyPrefix !== "segment";
      dummy = begins && startsWithDummy(text, position, walk.dummyPrefix);
      byteEnd[index] = position;
      continue;
    }
    const own = spelling?.piece ?? tokens.bytes;
    let from = spelling === undefined ? (tokens.start[id] ?? 0) : 0;
    const to = spelling === undefined ? (tokens.start[id + 1] ?? 0) : own.length;
    const isKnown = spelling === undefined ? (tokens.rank[id] ?? RANK_NONE) !== RANK_NONE : spelling.piece !== null;
    if (!isKnown || (dummy && own[from] !== SPACE)) throw new SpanMismatch(index, position);
    if (dummy) {
      from += 1;
      lead[index] = 1;
      dummy = false;
    }
    const reached = endOf(text, position, own, from, to, spaceMarks);
    if (reached < 0) throw new SpanMismatch(index, position);
    position = reached;
    byteEnd[index] = position;
  }
  if (position !== text.length) throw new SpanMismatch(ids.length, position);
  return { ids, byteStart, byteEnd, lead };
}

/** Where an added token ends that was found in the text at `position`, or -1 where it does not stand there. */
function endOfAdded(
  text: Uint8Array,
  position: number,
  { token, bytes }: AddedSpelling,
  prefixed: boolean,
  spaceMarks: boolean,
): number {
  const start = token.lstrip ? afterSpaces(text, position) : position;
  if (!token.normalized) return endOf(text, start, bytes, 0, bytes.length, false);
  if (!prefixed) return endOf(text, start, bytes, 0, bytes.length, spaceMarks);
  return bytes[0] === SPACE ? endOf(text, start, bytes, 1, bytes.length, spaceMarks) : -1;
}

/** Where `own[from .. to)` ends that stands in the text at `position`, or -1. */
function endOf(
  text: Uint8Array,
  position: number,
  own: Uint8Array,
  from: number,
  to: number,
  spaceMarks: boolean,
): number {
  let end = position;
  for (let index = from; index < to; index++) {
    const byte = own[index];
    if (text[end] === byte) end += 1;
    else if (spaceMarks && byte === SPACE && isSpaceMark(text, end)) end += 3;
    else return -1;
  }
  return end;
}

function startsWithDummy(text: Uint8Array, position: number, scheme: DummyPrefix): boolean {
  if (scheme === "none" || position >= text.length) return false;
  if (scheme === "segment") return true;
  if (scheme === "byte-level") return text[position] !== SPACE;
  const spaced = text[position] === SPACE || isSpaceMark(text, position);
  return !spaced && (scheme === "metaspace-always" || position === 0);
}

/** U+2581 is E2 96 81 in UTF-8. */
function isSpaceMark(text: Uint8Array, position: number): boolean {
  return text[position] === 0xe2 && text[position + 1] === 0x96 && text[position + 2] === 0x81;
}

/**
 * The end of the white space at a position, as Rust's `char::is_whitespace` has it, the property White_Space of
 * Unicode: U+0085 is, U+FEFF is not, both unlike JavaScript's `\s`.
 */
export function afterSpaces(text: Uint8Array, position: number): number {
  for (;;) {
    const byte = text[position];
    const second = text[position + 1];
    const third = text[position + 2];
    if (byte === SPACE || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)) position += 1;
    else if (byte === 0xc2 && (second === 0x85 || second === 0xa0)) position += 2;
    else if (byte === 0xe1 && second === 0x9a && third === 0x80) position += 3;
    else if (byte === 0xe2 && second === 0x80 && third !== undefined && isGeneralSpace(third)) position += 3;
    else if (byte === 0xe2 && second === 0x81 && third === 0x9f) position += 3;
    else if (byte === 0xe3 && second === 0x80 && third === 0x80) position += 3;
    else return position;
  }
}

/** U+2000 to U+200A, U+2028, U+2029, U+202F, by their third byte. */
function isGeneralSpace(third: number): boolean {
  return (third >= 0x80 && third <= 0x8a) || third === 0xa8 || third === 0xa9 || third === 0xaf;
}
