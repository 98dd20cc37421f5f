/**
 * A SentencePiece `tokenizer.model`: a Protocol Buffers message with the pieces, how the model was trained and how texts
 * are normalised before it sees them. Only the few fields that decide what a text becomes are read; the rest is passed
 * over. The file comes from outside: every length is held against what is there before anything is made of it.
 */
import { open } from "node:fs/promises";
import { FusechatError, inputError } from "../errors.ts";
import { fileError, readFully } from "../formats/files.ts";
import { isLfsPointer, LFS_PREFIX_BYTES, LFS_PROBLEM } from "../formats/git-lfs.ts";
import { LARGEST_ID } from "./definition.ts";

/** What a piece is, by its number in the file. */
export const PIECE_NORMAL = 1;
export const PIECE_UNKNOWN = 2;
export const PIECE_CONTROL = 3;
export const PIECE_USER_DEFINED = 4;
export const PIECE_UNUSED = 5;
export const PIECE_BYTE = 6;

export interface Piece {
  readonly text: string;
  readonly score: number;
  readonly type: number;
}

export interface SentencePieceModel {
  /** By id. */
  readonly pieces: readonly Piece[];
  /** `unigram`, `bpe`, `word` or `char`. */
  readonly algorithm: string;
  readonly byteFallback: boolean;
  /** Spaces are put behind words instead of before them. */
  readonly spaceBehind: boolean;
  /** Name of the normaliser; `identity` changes nothing. */
  readonly normaliser: string;
  /** True where the normaliser has a table of characters that it rewrites. */
  readonly rewrites: boolean;
  readonly addDummyPrefix: boolean;
  readonly removeExtraSpaces: boolean;
  /** Spaces become `▁`. */
  readonly escapeSpaces: boolean;
}

/** The largest in use have 5 MB. */
const LARGEST_FILE = 1 << 26;

/** The longest in use, rows of spaces, have 384 bytes. */
const LONGEST_PIECE = 1024;

const ALGORITHMS = ["", "unigram", "bpe", "word", "char"];

export async function readSentencePieceModel(path: string): Promise<SentencePieceModel> {
  return parseSentencePieceModel(await readWhole(path), path);
}

async function readWhole(path: string): Promise<Uint8Array> {
  const handle = await open(path, "r").catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    const { size } = await handle.stat();
    if (size > LARGEST_FILE)
      throw inputError(path, `expected a tokenizer of at most ${LARGEST_FILE} bytes, found ${size}`);
    const bytes = new Uint8Array(size);
    await readFully(handle, bytes, 0);
    if (isLfsPointer(new TextDecoder().decode(bytes.subarray(0, LFS_PREFIX_BYTES))))
      throw inputError(path, LFS_PROBLEM);
    return bytes;
  } catch (error) {
    throw error instanceof FusechatError ? error : fileError(path, error);
  } finally {
    await handle.close();
  }
}

/** `path` is for messages only. */
export function parseSentencePieceModel(bytes: Uint8Array, path: string): SentencePieceModel {
  const pieces: Piece[] = [];
  let trainer = new Map<number, FieldValue>();
  let normaliser = new Map<number, FieldValue>();
  const read: Read = { bytes, path };
  for (const field of fieldsOf(read, 0, bytes.length)) {
    if (typeof field.value === "number") continue;
    const { start, end } = field.value;
    if (field.number === 1) {
      if (pieces.length > LARGEST_ID) throw broken(path, `more than ${LARGEST_ID} pieces`);
      pieces.push(pieceOf(read, start, end, pieces.length));
    } else if (field.number === 2) trainer = lastValues(read, start, end);
    else if (field.number === 3) normaliser = lastValues(read, start, end);
  }
  if (pieces.length === 0) throw broken(path, "no pieces");
  const flag = (fields: ReadonlyMap<number, FieldValue>, number: number, missing: boolean): boolean => {
    const value = fields.get(number);
    return typeof value === "number" ? value !== 0 : missing;
  };
  const table = normaliser.get(2);
  const name = normaliser.get(1);
  return {
    pieces,
    algorithm: ALGORITHMS[Number(trainer.get(3) ?? 1)] || "unknown",
    byteFallback: flag(trainer, 35, false),
    spaceBehind: flag(trainer, 24, false),
    normaliser: typeof name === "object" ? textOf(read, name.start, name.end) : "without a name",
    rewrites: typeof table === "object" && table.end > table.start,
    addDummyPrefix: flag(normaliser, 3, true),
    removeExtraSpaces: flag(normaliser, 4, true),
    escapeSpaces: flag(normaliser, 5, true),
  };
}

function pieceOf(read: Read, from: number, to: number, id: number): Piece {
  let text: string | undefined;
  let score = 0;
  let type = PIECE_NORMAL;
  for (const { number, value } of fieldsOf(read, from, to)) {
    if (number === 1 && typeof value === "object") {
      if (value.end - value.start > LONGEST_PIECE) {
        throw broken(read.path, `piece ${id} has ${value.end - value.start} bytes, expected at most ${LONGEST_PIECE}`);
      }
      text = textOf(read, value.start, value.end);
    } else if (number === 2 && typeof value === "object" && value.end - value.start === 4) {
      score = new DataView(read.bytes.buffer, read.bytes.byteOffset + value.start, 4).getFloat32(0, true);
    } else if (number === 3 && typeof value === "number") type = value;
  }
  if (text === undefined || text === "") throw broken(read.path, `piece ${id} has no text`);
  if (!Number.isFinite(score)) throw broken(read.path, `the score of piece ${id} is no number`);
  return { text, score, type };
}

interface Read {
  readonly bytes: Uint8Array;
  readonly path: string;
}

/** A number, or where the bytes of anything else lie. */
type FieldValue = number | { readonly start: number; readonly end: number };

interface Field {
  readonly number: number;
  readonly value: FieldValue;
}

/** The fields of a message; what a field means is for the caller to know. */
function* fieldsOf({ bytes, path }: Read, from: number, to: number): Generator<Field> {
  let position = from;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      const byte = position < to ? bytes[position] : undefined;
      if (byte === undefined) break;
      position += 1;
      // Numbers beyond 2^53 lose digits here; no field that is read has such.
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw broken(path, `a number is cut off at byte ${position}`);
  };
  const take = (length: number): FieldValue => {
    if (length > to - position) throw broken(path, `a field of ${length} bytes at byte ${position} is cut off`);
    position += length;
    return { start: position - length, end: position };
  };
  while (position < to) {
    const key = varint();
    const number = Math.floor(key / 8);
    const wire = key % 8;
    if (number < 1 || number >= 2 ** 29) throw broken(path, `the field number ${number} at byte ${position}`);
    if (wire === 0) yield { number, value: varint() };
    else if (wire === 1) yield { number, value: take(8) };
    else if (wire === 2) yield { number, value: take(varint()) };
    else if (wire === 5) yield { number, value: take(4) };
    else throw broken(path, `a field of the unknown kind ${wire} at byte ${position}`);
  }
}

/** Of a field that stands there twice the last value counts. */
function lastValues(read: Read, from: number, to: number): Map<number, FieldValue> {
  const values = new Map<number, FieldValue>();
  for (const { number, value } of fieldsOf(read, from, to)) values.set(number, value);
  return values;
}

function textOf({ bytes, path }: Read, start: number, end: number): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(start, end));
  } catch {
    throw broken(path, `the text at byte ${start} is not UTF-8`);
  }
}

function broken(path: string, what: string): Error {
  return inputError(path, `not a SentencePiece model: ${what}`);
}
