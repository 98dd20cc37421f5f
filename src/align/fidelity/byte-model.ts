/**
 * A language model over bytes whose every probability is known: Witten-Bell n-grams (Witten and Bell, "The
 * zero-frequency problem", IEEE Trans. Inf. Theory 37, 1991, method C, interpolated) of up to 12 bytes of context,
 *
 *   P(b | h) = (c(h b) + T(h) P(b | h')) / (c(h) + T(h)),   h' = h without its oldest byte,
 *
 * c(h) = occurrences of h that are followed by a byte, T(h) = different bytes that follow, 1/256 below the empty context.
 * What a tokenizer makes of such a model is then a fact that sampling can find to any precision.
 *
 * The positions of the text are sorted by the bytes before them, the nearest first: the occurrences of a context are a
 * range, a longer context is a range within it, and no table of contexts is needed. A text of n bytes takes about 35 n
 * bytes of memory.
 */
import { createHash } from "node:crypto";
import type { Random } from "../../random.ts";

/** Bytes of context. */
export const ORDER = 12;
/** Between texts, before the first and after the last: the end of a turn. */
export const END_OF_TEXT = 0;

export interface ByteModel {
  /** SHA-256 of the text that the model was counted on. */
  readonly sha256: string;
  /** [256] the probability of each next byte after `context`, of which the last `order` bytes matter. */
  distribution(context: Uint8Array): Float64Array;
  /** Draws the byte that follows the first `length` bytes of `context`. */
  sample(context: Uint8Array, length: number, random: Random): number;
}

/** The text of a model: the responses without their zero bytes, joined by, begun and ended with one. */
export function joinTexts(texts: readonly string[]): Uint8Array {
  return Buffer.from(`\0${texts.map((text) => `${text.replaceAll("\0", "")}\0`).join("")}`, "utf8");
}

export function createByteModel(text: Uint8Array, order: number = ORDER): ByteModel {
  const sorted = sortByContext(text, order);
  /** [order + 1][positions] T of the context whose range begins there, 0 while unknown. */
  const kinds = Array.from({ length: order + 1 }, () => new Uint16Array(text.length));
  /** The ranges of the present context's suffixes, shortest first. */
  const low = new Int32Array(order + 1);
  const high = new Int32Array(order + 1);

  /** Finds the ranges of all suffixes that occur; returns the length of the longest. */
  const find = (context: Uint8Array, length: number): number => {
    low[0] = 0;
    high[0] = text.length;
    const longest = Math.min(order, length);
    for (let depth = 0; depth < longest; depth++) {
      const byte = context[length - 1 - depth]!;
      const from = firstAtLeast(text, sorted, depth, byte, low[depth]!, high[depth]!);
      const to = firstAtLeast(text, sorted, depth, byte + 1, from, high[depth]!);
      if (from === to) return depth;
      low[depth + 1] = from;
      high[depth + 1] = to;
    }
    return longest;
  };
  const seen = new Uint8Array(256);
  const kindsOf = (depth: number): number => {
    const from = low[depth]!;
    const known = kinds[depth]![from]!;
    if (known > 0) return known;
    seen.fill(0);
    let count = 0;
    for (let i = from; i < high[depth]! && count < 256; i++) {
      const byte = text[sorted[i]!]!;
      count += 1 - seen[byte]!;
      seen[byte] = 1;
    }
    kinds[depth]![from] = count;
    return count;
  };
  return {
    sha256: createHash("sha256").update(text).digest("hex"),
    distribution: (context) => {
      const longest = find(context, context.length);
      let lower = new Float64Array(256).fill(1 / 256);
      for (let depth = 0; depth <= longest; depth++) {
        const counts = new Float64Array(256);
        for (let i = low[depth]!; i < high[depth]!; i++) counts[text[sorted[i]!]!]!++;
        const different = kindsOf(depth);
        const total = high[depth]! - low[depth]! + different;
        lower = counts.map((count, byte) => (count + different * lower[byte]!) / total);
      }
      return lower;
    },
    sample: (context, length, random) => {
      for (let depth = find(context, length); depth >= 0; depth--) {
        const occurrences = high[depth]! - low[depth]!;
        const drawn = random.integer(occurrences + kindsOf(depth));
        if (drawn < occurrences) return text[sorted[low[depth]! + drawn]!]!;
      }
      return random.integer(256);
    },
  };
}

/** The positions by the byte before them, among equals by the one before that, and so on; before the text is nothing. */
function sortByContext(text: Uint8Array, order: number): Int32Array {
  let sorted = Int32Array.from(text, (_, position) => position);
  let next = new Int32Array(text.length);
  const start = new Int32Array(258);
  // Radix sort from the least significant byte, the oldest, each pass stable.
  for (let back = order; back >= 1; back--) {
    start.fill(0);
    const key = (position: number): number => (position < back ? 0 : text[position - back]! + 1);
    for (let i = 0; i < sorted.length; i++) start[key(sorted[i]!) + 1]!++;
    for (let k = 0; k < 257; k++) start[k + 1]! += start[k]!;
    for (let i = 0; i < sorted.length; i++) next[start[key(sorted[i]!)]!++] = sorted[i]!;
    [sorted, next] = [next, sorted];
  }
  return sorted;
}

/** The first place of a range whose byte `depth + 1` before the position is at least `byte`. */
function firstAtLeast(
  text: Uint8Array,
  sorted: Int32Array,
  depth: number,
  byte: number,
  from: number,
  to: number,
): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const position = sorted[middle]! - depth - 1;
    if (position >= 0 && text[position]! >= byte) high = middle;
    else low = middle + 1;
  }
  return low;
}
