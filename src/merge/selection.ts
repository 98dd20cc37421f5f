/**
 * The k entries of a tensor with the largest scores, ties to the lower flat index, without sorting and without a copy
 * of the scores. Scores are not negative, so their bit patterns order as they do: one reading counts patterns by their
 * upper bits (11 of exponent, 8 of mantissa: about 0.3% of the entries share a bin), a second marks what lies above
 * the bin at the edge, the one that holds the k-th, and keeps that bin's own entries aside to be sorted. Memory: a bit
 * an entry, and what is kept.
 */
import { type AddEntry, createKept, createTied, mark } from "./edge-bin.ts";
import { CHUNK_ENTRIES, type Chunk, type Pass } from "./method.ts";

/** Fills `scores[0 .. chunk.count-1]` with numbers of at least 0. */
export type Score = (chunk: Chunk, scores: Float64Array) => void;

export interface Selection {
  /** How many entries are selected. */
  readonly count: number;
  /** [size / 32] one bit an entry. */
  readonly bits: Uint32Array;
  /** [width] what `add` gave over the selected entries. */
  readonly sums: Float64Array;
}

interface Scores {
  readonly size: number;
  readonly score: Score;
  /** How many to take, given how many scores are above 0. */
  readonly take: (positive: number) => number;
  readonly add: AddEntry;
  readonly width: number;
}

/** Upper bits of the high word of a double that make a bin, sign left out. */
const BIN_SHIFT = 12;
const BINS = 1 << (31 - BIN_SHIFT);
/**
 * A fuller bin at the edge is not kept but counted by distinct scores. bfloat16 weights that moved by a unit or two in
 * the last place have few: a tenth of all entries may tie, too many to keep and sort. Where nothing is summed, which
 * entry has which score is known as well, so that this pays at once.
 */
const MOST_KEPT = 1 << 18;
const MOST_MARKED = 1 << 12;

/** Room for the scores of a chunk, and for places in it: passes never overlap, and one room for all stays in the cache. */
const scores = new Float64Array(CHUNK_ENTRIES);
const words = new Uint32Array(scores.buffer);
const places = new Int32Array(CHUNK_ENTRIES);

export function* selectLargest({ size, score, take, add, width }: Scores): Generator<Pass, Selection, void> {
  const histogram = new Uint32Array(BINS);
  yield (chunk) => {
    score(chunk, scores);
    countBins(words, chunk.count, histogram);
  };
  // Scores below 2^-1022 share bin 0 with zero; a weight's square never gets there.
  const count = Math.min(size, Math.max(0, take(size - histogram[0]!)));
  const selection: Selection = { count, bits: new Uint32Array(Math.ceil(size / 32)), sums: new Float64Array(width) };
  if (count === 0) return selection;
  const edge = binOf(histogram, count);

  const { bits, sums } = selection;
  // The score of the k-th entry, where it is known exactly, and how many of that score are still wanted.
  let exact = edge.bin === 0 ? 0 : undefined;
  let wanted = count - edge.above;
  if (exact === undefined && histogram[edge.bin]! > (width === 0 ? MOST_MARKED : MOST_KEPT)) {
    const tied = createTied(size, histogram[edge.bin]!);
    yield (chunk) => {
      score(chunk, scores);
      const found = markAbove(words, chunk, edge.bin, bits, places);
      for (let n = 0; n < found; n++) tied.add(chunk.start + places[n]!, places[n]!, scores, words);
    };
    const cut = tied.cut(wanted);
    if (width === 0 && tied.mark(cut, bits)) return selection;
    exact = cut.score;
    wanted = cut.equal;
  }

  const kept = createKept(width);
  yield (chunk) => {
    score(chunk, scores);
    const found =
      width === 0 ? markAbove(words, chunk, edge.bin, bits, places) : findFrom(words, chunk.count, edge.bin, places);
    for (const i of places.subarray(0, found)) {
      if (binAt(words, i) === edge.bin) {
        if (exact === undefined) {
          kept.keep(chunk, i, scores[i]!, add);
          continue;
        }
        if (scores[i]! < exact) continue;
        if (scores[i]! === exact && wanted-- <= 0) continue;
      }
      mark(bits, chunk.start + i);
      add(chunk, i, sums, 0);
    }
  };
  if (exact === undefined) {
    for (const { index, worth } of kept.largest(wanted)) {
      mark(bits, index);
      for (let j = 0; j < width; j++) sums[j]! += worth[j]!;
    }
  }
  return selection;
}

/** Calls `visit` with the place in the chunk of every selected entry, in order. */
export function forEachSelected(bits: Uint32Array, { start, count }: Chunk, visit: (i: number) => void): void {
  // Chunks start at multiples of 32, and no bit is set behind the tensor's end.
  for (let from = 0; from < count; from += 32) {
    let word = bits[(start + from) >>> 5]!;
    while (word !== 0) {
      const bit = 31 - Math.clz32(word & -word);
      visit(from + bit);
      word &= word - 1;
    }
  }
}

function binAt(words: Uint32Array, i: number): number {
  return words[2 * i + 1]! >>> BIN_SHIFT;
}

function countBins(words: Uint32Array, count: number, histogram: Uint32Array): void {
  for (let i = 0; i < count; i++) histogram[binAt(words, i)]!++;
}

/** Writes to `found` the places whose bin is `edge` or above, and returns how many there are. */
function findFrom(words: Uint32Array, count: number, edge: number, found: Int32Array): number {
  let hits = 0;
  for (let i = 0; i < count; i++) {
    found[hits] = i;
    hits += Number(binAt(words, i) >= edge);
  }
  return hits;
}

/** Marks what lies above the bin `edge`, 32 entries at a time, and finds as above what lies in it: nothing is summed. */
function markAbove(words: Uint32Array, chunk: Chunk, edge: number, bits: Uint32Array, found: Int32Array): number {
  let hits = 0;
  for (let from = 0; from < chunk.count; from += 32) {
    const end = Math.min(from + 32, chunk.count);
    let word = 0;
    for (let i = from; i < end; i++) {
      const bin = binAt(words, i);
      // The sign of the difference, moved in from above: no comparison to turn into a number.
      word = (word >>> 1) | ((edge - bin) & 0x80000000);
      if (bin === edge) found[hits++] = i;
    }
    bits[(chunk.start + from) >>> 5] = word >>> (32 - (end - from));
  }
  return hits;
}

/** The bin in which the `count`-th largest lies, and how many lie above it. */
function binOf(histogram: Uint32Array, count: number): { readonly bin: number; readonly above: number } {
  let above = 0;
  for (let bin = histogram.length - 1; bin > 0; bin--) {
    if (above + histogram[bin]! >= count) return { bin, above };
    above += histogram[bin]!;
  }
  return { bin: 0, above };
}
