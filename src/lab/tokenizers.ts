/**
 * The laboratory's tokenizers as Hugging Face `tokenizer.json` documents, of the two kinds that chat models use:
 * byte-level BPE (every byte has a printable stand-in, a regular expression cuts words) and SentencePiece-like BPE
 * (`▁` for a space, `<0xNN>` for bytes without a piece, with or without a dummy prefix).
 */
import { countWords, learnMerges, type Merge } from "./byte-pair.ts";

export interface TokenizerSpec {
  readonly kind: "byte-level" | "sentencepiece";
  /** All tokens, special ones included. */
  readonly vocabularySize: number;
  /** Every digit a token of its own, or numbers packed like words. */
  readonly digits: "split" | "packed";
  /** SentencePiece only: a space is put before every text. */
  readonly dummyPrefix: boolean;
  /** In front of the vocabulary for SentencePiece, where `<unk>` must be the first, and behind it else. */
  readonly specialTokens: readonly string[];
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: false;
  readonly lstrip: false;
  readonly rstrip: false;
  readonly normalized: false;
  readonly special: true;
}

/** A `tokenizer.json` document; `added_tokens` and the vocabulary are what the rest of a model folder needs of it. */
export interface TokenizerDocument {
  readonly version: "1.0";
  readonly added_tokens: readonly AddedToken[];
  readonly model: { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly Merge[] };
  readonly [part: string]: unknown;
}

/** Cuts words with their leading space, and digits singly (then a space before one stands alone) or in runs. */
const WORDS_SPLIT_DIGITS = " ?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\s";
const WORDS_PACKED_DIGITS = " ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s";

/** Learns the merges from `texts` and writes the document. */
export function createTokenizer(spec: TokenizerSpec, texts: readonly string[]): TokenizerDocument {
  return spec.kind === "byte-level" ? byteLevel(spec, texts) : sentencePiece(spec, texts);
}

function wordPattern(spec: TokenizerSpec): string {
  return spec.digits === "split" ? WORDS_SPLIT_DIGITS : WORDS_PACKED_DIGITS;
}

function byteLevel(spec: TokenizerSpec, texts: readonly string[]): TokenizerDocument {
  const alphabet = byteAlphabet();
  const spell = (word: string): string[] => [...Buffer.from(word, "utf8")].map((byte) => alphabet[byte]!);
  const pattern = wordPattern(spec);
  const merges = learnMerges(
    countWords(texts, new RegExp(pattern, "gu"), spell),
    spec.vocabularySize - alphabet.length - spec.specialTokens.length,
  );
  const pieces = [...[...alphabet].sort(), ...merges.map((merge) => merge.join(""))];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: spec.specialTokens.map((content, index) => addedToken(pieces.length + index, content)),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: bpeModel(pieces, merges, { unk_token: null, fuse_unk: false, byte_fallback: false }),
  };
}

function sentencePiece(spec: TokenizerSpec, texts: readonly string[]): TokenizerDocument {
  const marked = texts.map((text) => (spec.dummyPrefix ? ` ${text}` : text));
  const spell = (word: string): string[] => [...word.replaceAll(" ", "▁")];
  const characters = [...new Set(marked.flatMap(spell))].sort();
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const fixed = [...spec.specialTokens, ...bytes, ...characters];
  const merges = learnMerges(
    countWords(marked, new RegExp(wordPattern(spec), "gu"), spell),
    spec.vocabularySize - fixed.length,
  );
  const pieces = [...fixed, ...merges.map((merge) => merge.join(""))];
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const decoders = [
    { type: "Replace", pattern: { String: "▁" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: spec.specialTokens.map((content, index) => addedToken(index, content)),
    normalizer: spec.dummyPrefix
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, replace] }
      : replace,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: spec.dummyPrefix ? [...decoders, { type: "Strip", content: " ", start: 1, stop: 0 }] : decoders,
    },
    model: bpeModel(pieces, merges, { unk_token: spec.specialTokens[0]!, fuse_unk: true, byte_fallback: true }),
  };
}

function bpeModel(pieces: readonly string[], merges: readonly Merge[], rest: Readonly<Record<string, unknown>>) {
  return {
    type: "BPE",
    dropout: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    ignore_merges: false,
    ...rest,
    vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
    merges,
  };
}

function addedToken(id: number, content: string): AddedToken {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

/** GPT-2's stand-ins: printable Latin-1 bytes stand for themselves, the others for U+0100 onwards. [256] */
function byteAlphabet(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}
