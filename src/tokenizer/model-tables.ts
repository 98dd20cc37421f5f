/**
 * The vocabulary and the merges of a BPE model, set apart from the rest of its `tokenizer.json`. They are nearly all of
 * the file: 262k pieces and half a million pairs of strings are 150 MB once parsed, of which whoever asks needs one pass.
 * So they stay the bytes that they are in the file: the library gets them as text, and a pass parses one stretch at a time.
 */

import { isUtf8 } from "node:buffer";
import { inputError } from "../errors.ts";
import { DEEPEST_JSON } from "../formats/files.ts";
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from "../formats/json-bytes.ts";

export interface Table<Entry> {
  /** As JSON. */
  json(): string;
  /** In file order. */
  entries(): Iterable<Entry>;
}

export interface ModelTables {
  /** Pieces and what the file has as their ids; a piece that comes twice may come twice here. */
  readonly vocabulary: Table<readonly [string, unknown]>;
  /** Left and right side of each, best first. */
  readonly merges: Table<readonly [string, string]>;
}

/** A parsed `tokenizer.json` whose model has its tables elsewhere. */
export interface TablesApart {
  readonly file: object;
  /** Null where the model has not both of them; what is there stays in the file. */
  readonly tables: ModelTables | null;
}

/** Bytes of a table that are parsed at once. */
const STRETCH_BYTES = 1 << 16;

/** Parses the whole file at `path`; null where it must be read in another way, which tells what is wrong with it if anything is. */
export function parseApart(bytes: Uint8Array, path: string): TablesApart | null {
  const found = isUtf8(bytes) ? findTables(bytes) : null;
  if (found === null) return null;
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const place of [found.vocab, found.merges].sort((a, b) => a.from - b.from)) {
    parts.push(bytes.subarray(from, place.from), Buffer.from("null"));
    from = place.to;
  }
  const rest = Buffer.concat([...parts, bytes.subarray(from)]).toString("utf8");
  try {
    const file = JSON.parse(rest) as { readonly model: object };
    const parse: Parse = (text) => {
      try {
        return JSON.parse(text);
      } catch (error) {
        throw inputError(`${path}: model`, "expected a vocabulary and merges in JSON, found something else", error);
      }
    };
    const tables = {
      vocabulary: vocabularyOfBytes(bytes, found.vocab, parse),
      merges: mergesOfBytes(bytes, found.merges, parse),
    };
    return { file: withoutTables(file), tables };
  } catch {
    return null;
  }
}

/** The same of a file that was parsed as a whole. */
export function setApart(file: object): TablesApart {
  const { model } = file as { readonly model?: unknown };
  if (typeof model !== "object" || model === null || !("merges" in model) || !("vocab" in model)) {
    return { file, tables: null };
  }
  const { vocab, merges } = model;
  if (!Array.isArray(merges) || typeof vocab !== "object" || vocab === null || Array.isArray(vocab)) {
    return { file, tables: null };
  }
  const tables = { vocabulary: vocabularyOf(vocab), merges: mergesOf(merges) };
  return { file: withoutTables({ ...file, model }), tables };
}

/** The text of the whole file. */
export function joinedJson({ file, tables }: TablesApart): string {
  if (tables === null) return JSON.stringify(file);
  const { model, ...rest } = file as { readonly model: object };
  return `${opened(rest)}"model":${opened(model)}"vocab":${tables.vocabulary.json()},"merges":${tables.merges.json()}}}`;
}

export function vocabularyOf(vocab: object): ModelTables["vocabulary"] {
  return { json: () => JSON.stringify(vocab), entries: () => Object.entries(vocab) };
}

export function mergesOf(merges: readonly unknown[]): ModelTables["merges"] {
  return { json: () => JSON.stringify(merges), entries: () => merges.map(pairOf) };
}

/** Files write a merge as "left right" or as ["left", "right"]. */
function pairOf(merge: unknown): readonly [string, string] {
  const [left, right] = Array.isArray(merge) ? merge : String(merge).split(" ");
  return [String(left), String(right)];
}

function withoutTables<File extends { readonly model: object }>(file: File): object {
  const { vocab: _vocab, merges: _merges, ...model } = file.model as { vocab?: unknown; merges?: unknown };
  return { ...file, model };
}

/** An object's text, open for another member. */
function opened(members: object): string {
  const text = JSON.stringify(members).slice(0, -1);
  return text === "{" ? text : `${text},`;
}

/** A table in the bytes of a file. */
interface Place {
  /** Its first byte and the byte after its last. */
  readonly from: number;
  readonly to: number;
  /** Its opening bracket, some of its commas, its closing bracket. */
  readonly cuts: readonly number[];
}

/** Of a stretch, which nobody has parsed yet: brackets and commas were found, not what lies between them. */
type Parse = (text: string) => unknown;

function vocabularyOfBytes(bytes: Uint8Array, place: Place, parse: Parse): ModelTables["vocabulary"] {
  return {
    json: () => textOf(bytes, place.from, place.to),
    *entries() {
      for (const stretch of stretches(bytes, place)) yield* Object.entries(parse(`{${stretch}}`) as object);
    },
  };
}

function mergesOfBytes(bytes: Uint8Array, place: Place, parse: Parse): ModelTables["merges"] {
  return {
    json: () => textOf(bytes, place.from, place.to),
    *entries() {
      for (const stretch of stretches(bytes, place)) {
        for (const merge of parse(`[${stretch}]`) as unknown[]) yield pairOf(merge);
      }
    },
  };
}

function* stretches(bytes: Uint8Array, { cuts }: Place): Iterable<string> {
  for (let cut = 0; cut + 1 < cuts.length; cut++) yield textOf(bytes, cuts[cut]! + 1, cuts[cut + 1]!);
}

function textOf(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("utf8");
}

const MODEL = Buffer.from('"model"');
const VOCAB = Buffer.from('"vocab"');
const MERGES = Buffer.from('"merges"');

/**
 * Looks for the members `vocab` and `merges` of the object `model` by quotes and brackets alone. Null where they are not
 * there exactly once: of two members of one name JSON takes the last, and that is not for this walk to know.
 */
function findTables(bytes: Uint8Array): { readonly vocab: Place; readonly merges: Place } | null {
  let [vocab, merges]: (Place | null)[] = [null, null];
  let models = 0;
  let depth = 0;
  let isInModel = false;
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at]!;
    if (byte !== QUOTE) {
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        depth++;
        // The other way of reading says so.
        if (depth > DEEPEST_JSON) return null;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
      else if (byte === COMMA && depth === 1) isInModel = false;
      at++;
      continue;
    }
    const end = afterString(bytes, at);
    const colon = afterSpace(bytes, end);
    if (bytes[colon] === COLON && depth === 1 && isText(bytes, at, end, MODEL)) {
      isInModel = true;
      models++;
    } else if (bytes[colon] === COLON && depth === 2 && isInModel) {
      const isVocab = isText(bytes, at, end, VOCAB);
      if (isVocab || isText(bytes, at, end, MERGES)) {
        const value = afterSpace(bytes, colon + 1);
        const place = isVocab
          ? readTable(bytes, value, OPEN_OBJECT, CLOSE_OBJECT, afterMember)
          : readTable(bytes, value, OPEN_ARRAY, CLOSE_ARRAY, afterMerge);
        if (place === null || (isVocab ? vocab : merges) !== null) return null;
        if (isVocab) vocab = place;
        else merges = place;
        at = place.to;
        continue;
      }
    }
    at = colon;
  }
  return models === 1 && vocab && merges ? { vocab, merges } : null;
}

/** Entries between brackets; null where `afterEntry`, which gives the byte after one or -1, does not know one. */
function readTable(
  bytes: Uint8Array,
  from: number,
  open: number,
  close: number,
  afterEntry: (bytes: Uint8Array, from: number) => number,
): Place | null {
  if (bytes[from] !== open) return null;
  const cuts = [from];
  let at = afterSpace(bytes, from + 1);
  if (bytes[at] === close) return { from, to: at + 1, cuts };
  for (;;) {
    at = afterEntry(bytes, at);
    if (at < 0) return null;
    at = afterSpace(bytes, at);
    if (bytes[at] === close) break;
    if (bytes[at] !== COMMA) return null;
    if (at - cuts.at(-1)! > STRETCH_BYTES) cuts.push(at);
    at = afterSpace(bytes, at + 1);
  }
  return { from, to: at + 1, cuts: [...cuts, at] };
}

/** A string or a pair of strings. */
function afterMerge(bytes: Uint8Array, from: number): number {
  if (bytes[from] === QUOTE) return afterString(bytes, from);
  if (bytes[from] !== OPEN_ARRAY) return -1;
  const left = afterSpace(bytes, from + 1);
  if (bytes[left] !== QUOTE) return -1;
  const comma = afterSpace(bytes, afterString(bytes, left));
  const right = afterSpace(bytes, comma + 1);
  if (bytes[comma] !== COMMA || bytes[right] !== QUOTE) return -1;
  const close = afterSpace(bytes, afterString(bytes, right));
  return bytes[close] === CLOSE_ARRAY ? close + 1 : -1;
}

/** A piece and digits. */
function afterMember(bytes: Uint8Array, from: number): number {
  if (bytes[from] !== QUOTE) return -1;
  const colon = afterSpace(bytes, afterString(bytes, from));
  if (bytes[colon] !== COLON) return -1;
  const first = afterSpace(bytes, colon + 1);
  let at = first;
  while (bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++;
  return at > first ? at : -1;
}

/** The byte after the closing quote of the string that opens at `from`. */
function afterString(bytes: Uint8Array, from: number): number {
  let at = from + 1;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

function afterSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  return at;
}

function isText(bytes: Uint8Array, from: number, to: number, text: Uint8Array): boolean {
  if (to - from !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
  return true;
}
