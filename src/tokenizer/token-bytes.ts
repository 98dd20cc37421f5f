/**
 * Every token as bytes. Byte-level pieces are spelt in the GPT-2 alphabet, in which each of the 256 bytes has one
 * printable letter (Radford et al. 2019, `bytes_to_unicode` of its code); SentencePiece pieces are UTF-8 with `▁` for
 * a space and `<0xNN>` for a single byte. All bytes lie in one array, because 256,000 small ones would take ten times
 * the memory.
 */
import type { TokenizerDefinition } from "./definition.ts";

/** Token `id` has the bytes `bytes[start[id] .. start[id + 1])`; `rank` is that of `Tokenizer.tokenRank`. */
export interface TokenBytes {
  readonly bytes: Uint8Array;
  /** [size + 1] */
  readonly start: Uint32Array;
  /** [size] 0 an ordinary piece, 1 a `<0xNN>` piece, 2 an added token, 255 no token or none that can be spelt. */
  readonly rank: Uint8Array;
}

export const RANK_PIECE = 0;
export const RANK_BYTE = 1;
export const RANK_ADDED = 2;
export const RANK_NONE = 255;

/** Letter of each byte: printable Latin-1 stands for itself, the other 68 bytes take U+0100 and up, in order. */
export const BYTE_LETTERS: readonly string[] = byteLetters();

const LETTER_BYTES: ReadonlyMap<string, number> = new Map(BYTE_LETTERS.map((letter, byte) => [letter, byte]));

const BYTE_PIECE = /^<0x([0-9A-F]{2})>$/;

/** The bytes of all tokens. `size` is the largest id + 1. Added tokens have the bytes of their content. */
export function tokenBytesOf(definition: TokenizerDefinition, size: number): TokenBytes {
  const encoded: (Uint8Array | undefined)[] = new Array(size);
  const rank = new Uint8Array(size).fill(RANK_NONE);
  for (const [piece, id] of definition.vocabulary) {
    const byte = definition.byteFallback ? BYTE_PIECE.exec(piece) : null;
    const bytes =
      byte !== null
        ? Uint8Array.of(Number.parseInt(byte[1]!, 16))
        : definition.family === "byte-level"
          ? bytesOfLetters(piece)
          : Buffer.from(piece.replaceAll("▁", " "), "utf8");
    if (bytes === null) continue;
    encoded[id] = bytes;
    rank[id] = byte !== null ? RANK_BYTE : RANK_PIECE;
  }
  for (const token of definition.addedTokens) {
    encoded[token.id] = Buffer.from(token.content, "utf8");
    rank[token.id] = RANK_ADDED;
  }
  const start = new Uint32Array(size + 1);
  for (let id = 0; id < size; id++) start[id + 1] = start[id]! + (encoded[id]?.length ?? 0);
  const bytes = new Uint8Array(start[size]!);
  for (let id = 0; id < size; id++) {
    const own = encoded[id];
    if (own !== undefined) bytes.set(own, start[id]!);
  }
  return { bytes, start, rank };
}

/** Bytes in the GPT-2 alphabet: the form in which a byte-level model merges them. */
export function lettersOfBytes(bytes: Uint8Array): string {
  let letters = "";
  for (const byte of bytes) letters += BYTE_LETTERS[byte]!;
  return letters;
}

function bytesOfLetters(piece: string): Uint8Array | null {
  const bytes = new Uint8Array(piece.length);
  let count = 0;
  for (const letter of piece) {
    const byte = LETTER_BYTES.get(letter);
    if (byte === undefined) return null;
    bytes[count++] = byte;
  }
  return bytes;
}

function byteLetters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : next++);
  });
}
