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
  yield (chunk) => {
    score(chunk, scores);
    for (let i = 0; i < chunk.count; i++) histogram[words[2 * i + 1]! >>> BIN_SHIFT]!++;
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
      for (let i = 0; i < chunk.count; i++) {
        if (words[2 * i + 1]! >>> BIN_SHIFT === edge.bin) distinct.set(scores[i]!, (distinct.get(scores[i]!) ?? 0) + 1);
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
    for (let i = 0; i < chunk.count; i++) {
      const bin = words[2 * i + 1]! >>> BIN_SHIFT;
      if (bin < edge.bin) continue;
      if (bin === edge.bin) {
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

export function isSelected(bits: Uint32Array, index: number): boolean {
  return ((bits[index >>> 5]! >>> (index & 31)) & 1) === 1;
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
