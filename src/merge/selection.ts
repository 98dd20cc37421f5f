/**
 * The k entries of a tensor with the largest scores, ties to the lower flat index, without sorting and without a copy
 * of the scores. Scores are not negative, so their bit patterns order as they do: one reading counts patterns by their
 * upper bits (11 of exponent, 8 of mantissa: about 0.3% of the entries share a bin), a second marks what lies above
 * the bin at the edge, the one that holds the k-th, and keeps that bin's own entries aside to be sorted. Memory: a bit
 * an entry, and what is kept.
 */
import { CHUNK_ENTRIES, type Chunk, type Pass } from "./method.ts";

/** Fills `scores[0 .. chunk.count-1]` with numbers of at least 0. */
export type Score = (chunk: Chunk, scores: Float64Array) => void;

/** Adds what entry `i` of the chunk is worth to `sums[at ..]`. */
export type AddEntry = (chunk: Chunk, i: number, sums: Float64Array, at: number) => void;

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
 * A fuller bin at the edge is read once more for its distinct scores. bfloat16 weights that moved by a unit or two in
 * the last place have few: a tenth of all entries may tie, too many to keep and sort.
 */
const MOST_KEPT = 1 << 17;

export function* selectLargest({ size, score, take, add, width }: Scores): Generator<Pass, Selection, void> {
  const scores = new Float64Array(CHUNK_ENTRIES);
  const words = new Uint32Array(scores.buffer);
  const histogram = new Uint32Array(BINS);
  const found = new Int32Array(CHUNK_ENTRIES);
  yield (chunk) => {
    score(chunk, scores);
    countBins(words, chunk.count, histogram);
  };
  // Scores below 2^-1022 share bin 0 with zero; a weight's square never gets there.
  const count = Math.min(size, Math.max(0, take(size - histogram[0]!)));
  const selection: Selection = { count, bits: new Uint32Array(Math.ceil(size / 32)), sums: new Float64Array(width) };
  if (count === 0) return selection;
  const edge = binOf(histogram, count);

  // The score of the k-th entry, where it is known exactly, and how many of that score are still wanted.
  let exact = edge.bin === 0 ? 0 : undefined;
  let wanted = count - edge.above;
  if (exact === undefined && histogram[edge.bin]! > MOST_KEPT) {
    const distinct = new Map<number, number>();
    yield (chunk) => {
      score(chunk, scores);
      const count = findFrom(words, chunk.count, edge.bin, found);
      for (const i of found.subarray(0, count)) {
        if (binAt(words, i) === edge.bin) distinct.set(scores[i]!, (distinct.get(scores[i]!) ?? 0) + 1);
      }
    };
    for (const value of Float64Array.from(distinct.keys()).sort().reverse()) {
      exact = value;
      if (distinct.get(value)! >= wanted) break;
      wanted -= distinct.get(value)!;
    }
  }

  const { bits, sums } = selection;
  const kept = createKept(width);
  yield (chunk) => {
    score(chunk, scores);
    const candidates =
      width === 0 ? markAbove(words, chunk, edge.bin, bits, found) : findFrom(words, chunk.count, edge.bin, found);
    for (const i of found.subarray(0, candidates)) {
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

function mark(bits: Uint32Array, index: number): void {
  bits[index >>> 5]! |= 1 << (index & 31);
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
    const entries = Math.min(32, chunk.count - from);
    let word = 0;
    for (let bit = 0; bit < entries; bit++) {
      const bin = binAt(words, from + bit);
      word |= Number(bin > edge) << bit;
      found[hits] = from + bit;
      hits += Number(bin === edge);
    }
    bits[(chunk.start + from) >>> 5] = word;
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

/** The entries of the bin at the edge, in index order: score, index and what they are worth. */
function createKept(width: number) {
  const record = 2 + width;
  let data = new Float64Array(1024 * record);
  let count = 0;
  return {
    keep: (chunk: Chunk, i: number, score: number, add: AddEntry): void => {
      if ((count + 1) * record > data.length) {
        const larger = new Float64Array(2 * data.length);
        larger.set(data);
        data = larger;
      }
      const at = count * record;
      data[at] = score;
      data[at + 1] = chunk.start + i;
      add(chunk, i, data, at + 2);
      count++;
    },
    largest: (wanted: number): { readonly index: number; readonly worth: Float64Array }[] => {
      const order = Uint32Array.from({ length: count }, (_, n) => n * record);
      order.sort((a, b) => data[b]! - data[a]! || a - b);
      return Array.from(order.subarray(0, wanted), (at) => ({
        index: data[at + 1]!,
        worth: data.subarray(at + 2, at + record),
      }));
    },
  };
}
