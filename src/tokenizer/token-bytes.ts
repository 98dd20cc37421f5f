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

/** The bytes of all tokens, as many as the largest id + 1. Added tokens have the bytes of their content. */
export function tokenBytesOf(definition: TokenizerDefinition): TokenBytes {
  const { vocabulary, addedTokens } = definition;
  const size = 1 + largestId(definition);
  const length = new Uint32Array(size);
  const rank = new Uint8Array(size).fill(RANK_NONE);
  for (const [piece, id] of vocabulary) {
    const isByte = definition.byteFallback && BYTE_PIECE.test(piece);
    const bytes = isByte ? 1 : definition.family === "byte-level" ? letterCount(piece) : spacedLength(piece);
    if (bytes < 0) continue;
    length[id] = bytes;
    rank[id] = isByte ? RANK_BYTE : RANK_PIECE;
  }
  for (const { id, content } of addedTokens) {
    length[id] = Buffer.byteLength(content, "utf8");
    rank[id] = RANK_ADDED;
  }
  const start = new Uint32Array(size + 1);
  for (let id = 0; id < size; id++) start[id + 1] = start[id]! + length[id]!;
  const bytes = Buffer.alloc(start[size]!);
  for (const [piece, id] of vocabulary) {
    if (rank[id] === RANK_BYTE) bytes[start[id]!] = Number.parseInt(BYTE_PIECE.exec(piece)![1]!, 16);
    else if (rank[id] !== RANK_PIECE) continue;
    else if (definition.family === "byte-level") writeLetters(piece, bytes, start[id]!);
    else bytes.write(piece.replaceAll("▁", " "), start[id]!, "utf8");
  }
  for (const { id, content } of addedTokens) bytes.write(content, start[id]!, "utf8");
  return { bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), start, rank };
}

/** The bytes of an ordinary piece, or null where it spells none. */
export function bytesOfPiece(piece: string, family: TokenizerDefinition["family"]): Uint8Array | null {
  if (family === "sentencepiece") return Buffer.from(piece.replaceAll("▁", " "), "utf8");
  const length = letterCount(piece);
  if (length < 0) return null;
  const bytes = new Uint8Array(length);
  writeLetters(piece, bytes, 0);
  return bytes;
}

/** How a file spells an ordinary or a byte piece with these bytes. */
export function spellingOfPiece(bytes: Uint8Array, rank: number, family: TokenizerDefinition["family"]): string {
  if (rank === RANK_BYTE) return bytePiece(bytes[0]!);
  return family === "byte-level" ? lettersOfBytes(bytes) : Buffer.from(bytes).toString("utf8").replaceAll(" ", "▁");
}

/** The piece of a byte that no other piece spells. */
export function bytePiece(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** Bytes in the GPT-2 alphabet: the form in which a byte-level model merges them. */
export function lettersOfBytes(bytes: Uint8Array): string {
  let letters = "";
  for (const byte of bytes) letters += BYTE_LETTERS[byte]!;
  return letters;
}

/** How many bytes a piece of letters spells, or -1 where a sign is no letter. */
function letterCount(piece: string): number {
  for (const letter of piece) if (!LETTER_BYTES.has(letter)) return -1;
  return piece.length;
}

function writeLetters(piece: string, bytes: Uint8Array, at: number): void {
  let end = at;
  for (const letter of piece) bytes[end++] = LETTER_BYTES.get(letter)!;
}

/** UTF-8 bytes of a piece whose `▁` stand for spaces. */
function spacedLength(piece: string): number {
  return Buffer.byteLength(piece.replaceAll("▁", " "), "utf8");
}

function largestId({ vocabulary, addedTokens }: TokenizerDefinition): number {
  let largest = -1;
  for (const [, id] of vocabulary) largest = Math.max(largest, id);
  for (const { id } of addedTokens) largest = Math.max(largest, id);
  return largest;
}

function byteLetters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : next++);
  });
}
