/**
 * A BPE model cut down to what some texts can need. Merging never joins what does not stand side by side, so every piece
 * on the way from a text to its tokens is a part of that text: pieces and merges that are no part of any of the texts
 * change nothing. The library takes 400 MB and seconds of processor time for a vocabulary of 262k, and next to nothing for
 * the few thousand pieces that are left.
 */

/** The model of a `tokenizer.json`, as far as it is looked into. */
export interface BpeModel {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly unknown[];
  readonly unk_token?: unknown;
  readonly ignore_merges?: unknown;
}

/** Parts of texts up to this long are remembered; longer pieces, runs of spaces mostly, are all kept. */
const LONGEST_PART = 64;
/** Bits that stand for all parts of all texts, 4 MB: of a million parts two in a hundred others seem to be among them. */
const PART_BITS = 25;
const BYTE_PIECE = /^<0x[0-9A-F]{2}>$/;

/** The model with the pieces and merges that may come up in `texts`, which are spelt as its pieces are. */
export function reduceModel(model: BpeModel, texts: Iterable<string>): BpeModel {
  const isPart = partsOf(texts);
  const vocab: Record<string, number> = Object.create(null);
  for (const piece of Object.keys(model.vocab)) {
    if (isPart(piece) || piece === model.unk_token || BYTE_PIECE.test(piece)) vocab[piece] = model.vocab[piece]!;
  }
  // Files write a merge as "left right" or as ["left", "right"].
  const merges = model.merges.filter((merge) => {
    const [left, right] = Array.isArray(merge) ? merge : String(merge).split(" ");
    // By chance a piece is kept without its own parts.
    return `${left}${right}` in vocab && left in vocab && right in vocab;
  });
  return { ...model, vocab, merges };
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
