/**
 * A BPE model cut down to what some texts can need. Merging never joins what does not stand side by side, so every piece
 * on the way from a text to its tokens is a part of that text: pieces and merges that are no part of any of the texts
 * change nothing. The library takes 400 MB and seconds of processor time for a vocabulary of 262k, and next to nothing for
 * the few thousand pieces that are left.
 */

import { type ModelTables, mergesOf, vocabularyOf } from "./model-tables.ts";

/** Parts of texts up to this long are remembered; longer pieces, runs of spaces mostly, are all kept. */
const LONGEST_PART = 64;
/** Bits that stand for all parts of all texts, 4 MB: of a million parts two in a hundred others seem to be among them. */
const PART_BITS = 25;
const BYTE_PIECE = /^<0x[0-9A-F]{2}>$/;

/** The pieces and merges that may come up in `texts`, which are spelt as the pieces are, and the unknown piece. */
export function reduceTables(tables: ModelTables, unknown: unknown, texts: Iterable<string>): ModelTables {
  const isPart = partsOf(texts);
  const vocab: Record<string, unknown> = Object.create(null);
  for (const [piece, id] of tables.vocabulary.entries()) {
    if (isPart(piece) || piece === unknown || BYTE_PIECE.test(piece)) vocab[piece] = id;
  }
  const merges: (readonly [string, string])[] = [];
  for (const [left, right] of tables.merges.entries()) {
    // By chance a piece is kept without its own parts.
    if (`${left}${right}` in vocab && left in vocab && right in vocab) merges.push([left, right]);
  }
  return { vocabulary: vocabularyOf(vocab), merges: mergesOf(merges) };
}

/** True for every part of the texts, for everything long, and by chance for a few others. */
function partsOf(texts: Iterable<string>): (piece: string) => boolean {
  const bits = new Uint32Array(2 ** (PART_BITS - 5));
  for (const text of texts) {
    for (let begin = 0; begin < text.length; begin++) {
      let hash = FIRST_HASH;
      for (let end = begin; end < text.length && end < begin + LONGEST_PART; end++) {
        hash = nextHash(hash, text.charCodeAt(end));
        const bit = placeOf(hash);
        bits[bit >>> 5]! |= 1 << (bit & 31);
      }
    }
  }
  return (piece) => {
    if (piece.length > LONGEST_PART) return true;
    let hash = FIRST_HASH;
    for (let i = 0; i < piece.length; i++) hash = nextHash(hash, piece.charCodeAt(i));
    const bit = placeOf(hash);
    return ((bits[bit >>> 5]! >>> (bit & 31)) & 1) === 1;
  };
}

/** FNV-1a over UTF-16 units. */
const FIRST_HASH = 0x811c9dc5;
const nextHash = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x01000193);
const placeOf = (hash: number): number => (hash ^ (hash >>> 15)) >>> (32 - PART_BITS);
