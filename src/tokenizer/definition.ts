/**
 * What a Hugging Face `tokenizer.json` says, as far as byte spans depend on it. Two families are understood:
 * byte-level BPE (every byte has a letter of the GPT-2 alphabet, perhaps after NFC) and SentencePiece-like BPE
 * (`▁` for a space, `<0xNN>` for a byte without a piece, perhaps with a dummy prefix). Whatever else changes the text
 * on its way to the tokens is refused by name, because then the span of a token could only be guessed. Pre-tokenizers
 * are taken as they come: where one removes or changes something, the walk through that text finds out.
 */

import { z } from "zod";
import { inputError, Limitation } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { firstIssue } from "../issue.ts";
import type { ModelTables, TablesApart } from "./model-tables.ts";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly singleWord: boolean;
  /** Takes the white space before it, after it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Recognised in the normalised text instead of the text as it stands. */
  readonly normalized: boolean;
  readonly special: boolean;
}

/**
 * Where a dummy prefix `▁` is put: nowhere; before every stretch of text between added tokens that are not
 * normalised (`Prepend` of the normaliser); or, by a `Metaspace` pre-tokenizer, before every stretch between added
 * tokens, or only at the very start, and only where the stretch does not begin with a space anyway; or likewise as a
 * real space by a `ByteLevel` pre-tokenizer with `add_prefix_space`.
 */
export type DummyPrefix = "none" | "segment" | "metaspace-always" | "metaspace-first" | "byte-level";

export interface TokenizerDefinition {
  readonly family: "byte-level" | "sentencepiece";
  readonly dummyPrefix: DummyPrefix;
  /** The text is brought to Unicode normal form C first. */
  readonly nfc: boolean;
  /** Pieces `<0xNN>` are bytes. */
  readonly byteFallback: boolean;
  /** Piece and id, in file order, added tokens included where the vocabulary lists them. */
  readonly vocabulary: Iterable<readonly [string, number]>;
  readonly addedTokens: readonly AddedToken[];
  /** Pre-tokenizers that take something away from some texts, by name. */
  readonly removing: readonly string[];
}

/** Ids beyond this are taken for a broken file: the largest vocabularies in use have some 260,000 tokens. */
export const LARGEST_ID: number = 1 << 22;

const id = z.number().int().min(0).max(LARGEST_ID);

const addedToken = z.object({
  id,
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(false),
  special: z.boolean().default(false),
});

/** A normaliser, pre-tokenizer or model: something with a type whose other fields depend on it. */
const component = z.looseObject({ type: z.string() });

const tokenizerFile = z.looseObject({
  added_tokens: z.array(addedToken).nullish(),
  normalizer: component.nullish(),
  pre_tokenizer: component.nullish(),
  model: component,
});

/** One step of a normaliser or pre-tokenizer. */
export interface Component {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The normalising and the cutting steps of a parsed file, in order. */
export function readSteps(file: unknown, path: string): { normalisers: Component[]; preTokenizers: Component[] } {
  const { normalizer, pre_tokenizer: preTokenizer } = parseFile(file, path);
  return {
    normalisers: flatten(normalizer, "normalizers", path),
    preTokenizers: flatten(preTokenizer, "pretokenizers", path),
  };
}

/** Reads the parsed file, or says what in it is broken or not understood. `path` is for messages only. */
export function readDefinition({ file, tables }: TablesApart, path: string): TokenizerDefinition {
  const { model, added_tokens: added } = parseFile(file, path);
  if (model.type !== "BPE") {
    throw unsupported(path, `a ${model.type} model`, "only BPE models say which bytes a token stands for");
  }
  for (const field of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (typeof model[field] === "string" && model[field] !== "") throw unsupported(path, `a model with ${field}`);
  }
  if (typeof model.dropout === "number" && model.dropout > 0) {
    throw unsupported(path, "a model with dropout", "the same text would have other tokens each time");
  }
  const { normalisers, preTokenizers } = readSteps(file, path);
  const byteLevel = preTokenizers.find((step) => step.type === "ByteLevel");
  const shared = {
    vocabulary: readVocabulary(tables, path),
    addedTokens: (added ?? []).map(toAddedToken),
    removing: preTokenizers.flatMap(removingName),
  };
  if (byteLevel !== undefined) {
    const other = normalisers.find((step) => step.type !== "NFC");
    if (other !== undefined) throw unsupported(path, `the normaliser ${other.type} before a byte-level model`);
    const dummyPrefix = byteLevel.add_prefix_space === true ? "byte-level" : "none";
    return { family: "byte-level", dummyPrefix, nfc: normalisers.length > 0, byteFallback: false, ...shared };
  }
  if (model.byte_fallback !== true) {
    throw unsupported(path, "a BPE model without byte fallback", "characters that it does not know have no bytes");
  }
  const dummyPrefix = sentencePiecePrefix(normalisers, preTokenizers, path);
  return { family: "sentencepiece", dummyPrefix, nfc: false, byteFallback: true, ...shared };
}

function parseFile(file: unknown, path: string): z.infer<typeof tokenizerFile> {
  const parsed = tokenizerFile.safeParse(file);
  if (parsed.success) return parsed.data;
  const { place, problem } = firstIssue(parsed.error);
  throw inputError(path, `not a tokenizer: ${place || "the file"}: ${problem}`);
}

/** An added token in the form of `tokenizer.json`. */
export function addedTokenEntry(token: AddedToken): Record<string, unknown> {
  const { singleWord, ...rest } = token;
  return { ...rest, single_word: singleWord };
}

function toAddedToken({ single_word, ...rest }: z.infer<typeof addedToken>): AddedToken {
  return { ...rest, singleWord: single_word };
}

function unsupported(path: string, what: string, why = "it changes the text in a way that byte spans cannot follow") {
  return new Limitation(path, `${what} is not supported: ${why}`);
}

/** The steps of nested sequences in order. Nothing recurses: their depth is the author's choice. */
function flatten(step: Component | null | undefined, key: string, path: string): Component[] {
  const steps: Component[] = [];
  const open: Component[] = step === null || step === undefined ? [] : [step];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.type !== "Sequence") {
      steps.push(next);
      continue;
    }
    const inner = z.array(component).safeParse(next[key]);
    if (!inner.success) throw inputError(path, `not a tokenizer: expected a list of steps in ${key}`);
    for (let index = inner.data.length; index > 0; index--) open.push(inner.data[index - 1]!);
  }
  return steps;
}

/** Pre-tokenizers that only cut, whatever the text. */
const CUTTING = ["ByteLevel", "Metaspace", "Digits", "UnicodeScripts", "FixedLength"];

function removingName(step: Component): string[] {
  if (step.behavior === "Removed") return [`${step.type} (Removed)`];
  const cuts = CUTTING.includes(step.type) || ["Split", "Punctuation"].includes(step.type);
  return cuts ? [] : [step.type];
}

function sentencePiecePrefix(
  normalisers: readonly Component[],
  preTokenizers: readonly Component[],
  path: string,
): DummyPrefix {
  let dummyPrefix: DummyPrefix = "none";
  let replaces = false;
  for (const step of normalisers) {
    if (step.type === "Prepend" && step.prepend === "▁" && !replaces) dummyPrefix = "segment";
    else if (step.type === "Replace" && step.content === "▁" && isSpacePattern(step.pattern)) replaces = true;
    else throw unsupported(path, `the normaliser ${step.type} ${excerptOf(step.pattern ?? step.prepend ?? "")}`);
  }
  const metaspace = preTokenizers.find((step) => step.type === "Metaspace");
  if (metaspace !== undefined) {
    if (metaspace.replacement !== "▁") throw unsupported(path, "a Metaspace pre-tokenizer with another sign than ▁");
    if (dummyPrefix !== "none") throw unsupported(path, "a dummy prefix put twice");
    const scheme = metaspace.prepend_scheme ?? (metaspace.add_prefix_space === false ? "never" : "always");
    if (scheme === "always") dummyPrefix = "metaspace-always";
    else if (scheme === "first") dummyPrefix = "metaspace-first";
    else if (scheme !== "never") throw unsupported(path, `the Metaspace prefix scheme ${excerptOf(scheme)}`);
  } else if (!replaces) {
    throw unsupported(path, "a BPE model that neither works on bytes nor writes spaces as ▁");
  }
  return dummyPrefix;
}

function isSpacePattern(pattern: unknown): boolean {
  return typeof pattern === "object" && pattern !== null && "String" in pattern && pattern.String === " ";
}

/** Checked by hand, a schema library takes seconds on 256,000 entries; pieces and ids in a column each, 15 MB of them. */
function readVocabulary(tables: ModelTables | null, path: string): TokenizerDefinition["vocabulary"] {
  if (tables === null) {
    throw inputError(path, "not a tokenizer: expected model.vocab to map pieces to ids, and model.merges to be a list");
  }
  const pieces: string[] = [];
  const ids: number[] = [];
  const taken = new Uint8Array(LARGEST_ID + 1);
  for (const [piece, id] of tables.vocabulary.entries()) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > LARGEST_ID) {
      throw inputError(path, `expected ids of 0 to ${LARGEST_ID}, found ${excerptOf(id)} for ${excerptOf(piece)}`);
    }
    if (taken[id] === 1) throw inputError(path, `the id ${id} of ${JSON.stringify(piece)} is given to two pieces`);
    taken[id] = 1;
    pieces.push(piece);
    ids.push(id);
  }
  const repeated = new Set(pieces).size < pieces.length ? firstRepeated(pieces) : undefined;
  if (repeated !== undefined) throw inputError(path, `the piece ${JSON.stringify(repeated)} is there twice`);
  return {
    *[Symbol.iterator]() {
      for (let i = 0; i < pieces.length; i++) yield [pieces[i]!, ids[i]!] as const;
    },
  };
}

function firstRepeated(pieces: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return pieces.find((piece) => seen.size === seen.add(piece).size);
}
