/**
 * The k entries of a tensor with the largest scores, ties to the lower flat index, without sorting and without a copy
 * of the scores. Scores are not negative, so their bit patterns order as they do: one reading counts patterns by their
 * upper bits (11 of exponent, 8 of mantissa: about 0.3% of the entries share a bin), a second marks what lies above
 * the bin at the edge, the one that holds the k-th, and keeps that bin's own entries aside to be sorted. Memory: a bit
 * an entry, and what is kept.
 */
import { internalError } from "../errors.ts";
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
 * A fuller bin at the edge is not kept but counted by distinct scores. bfloat16 weights that moved by a unit or two in
 * the last place have few: a tenth of all entries may tie, too many to keep and sort. Where nothing is summed, which
 * entry has which score is known as well, so that this pays at once.
 */
const MOST_KEPT = 1 << 18;
const MOST_MARKED = 1 << 12;
/** Distinct scores of such a bin that two bytes tell apart; where there are more the tensor is read once more. */
const MOST_CODES = 1 << 16;

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
    const end = Math.min(from + 32, chunk.count);
    let word = 0;
    for (let i = from; i < end; i++) {
      const bin = binAt(words, i);
      // The sign of the difference, moved in from above: twice as fast as a comparison.
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

/** The score of the last entry that is selected, and how many of that score are. */
interface Cut {
  readonly score: number;
  readonly equal: number;
}

/**
 * The entries of a full bin at the edge: how often each score comes, and as long as they are few which entry has which,
 * a bit an entry of the tensor and two bytes an entry of the bin. Scores get their codes in a hash table of their bit
 * patterns; a Map, which wants every number in an object of its own, would take ten times as long.
 */
function createTied(size: number, inEdge: number) {
  const members = new Uint32Array(Math.ceil(size / 32));
  const codes = new Uint16Array(inEdge);
  const capacity = Math.min(MOST_CODES, 2 ** Math.ceil(Math.log2(inEdge)));
  const values = new Float64Array(capacity);
  const counts = new Uint32Array(capacity);
  // Twice as many places as codes; a place holds a code + 1, or 0.
  const table = new Int32Array(2 * capacity);
  let distinct = 0;
  let entries = 0;
  // Those for which there was no code left.
  const others = new Map<number, number>();

  /** -1 where the table is full. */
  const codeOf = (score: number, low: number, high: number): number => {
    let place = Math.imul(high ^ Math.imul(low, 0x9e3779b1), 0x85ebca6b) >>> 7;
    for (;;) {
      place &= table.length - 1;
      const code = table[place]! - 1;
      if (code >= 0) {
        if (values[code]! === score) return code;
        place++;
        continue;
      }
      if (distinct === capacity) return -1;
      values[distinct] = score;
      table[place] = ++distinct;
      return distinct - 1;
    }
  };
  return {
    /** Entry `index` of the tensor, whose score is the one at `i`; `words` are those of the scores. */
    add: (index: number, i: number, scores: Float64Array, words: Uint32Array): void => {
      const score = scores[i]!;
      const code = codeOf(score, words[2 * i]!, words[2 * i + 1]!);
      mark(members, index);
      if (code < 0) {
        others.set(score, (others.get(score) ?? 0) + 1);
        return;
      }
      counts[code]!++;
      codes[entries++] = code;
    },
    /** Where the `wanted`-th largest lies. */
    cut: (wanted: number): Cut => {
      const all = new Map(others);
      for (let code = 0; code < distinct; code++) all.set(values[code]!, counts[code]!);
      let equal = wanted;
      for (const score of Float64Array.from(all.keys()).sort().reverse()) {
        const count = all.get(score)!;
        if (count >= equal) return { score, equal };
        equal -= count;
      }
      throw internalError(`a bin of ${inEdge} entries has no ${wanted}-th`);
    },
    /** Marks what is selected; false, and nothing is marked, where the scores are more than two bytes can tell apart. */
    mark: ({ score, equal }: Cut, bits: Uint32Array): boolean => {
      if (others.size > 0) return false;
      let entry = 0;
      let left = equal;
      for (let at = 0; at < members.length; at++) {
        let word = members[at]!;
        while (word !== 0) {
          const bit = word & -word;
          const value = values[codes[entry++]!]!;
          if (value > score || (value === score && left-- > 0)) bits[at]! |= bit;
          word ^= bit;
        }
      }
      return true;
    },
  };
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
      const scores = Float64Array.from({ length: count }, (_, n) => data[n * record]!).sort();
      const least = scores[count - wanted]!;
      let equal = 0;
      for (let n = count - wanted; n < count && scores[n] === least; n++) equal++;
      const chosen: { index: number; worth: Float64Array }[] = [];
      for (let at = 0; at < count * record; at += record) {
        const score = data[at]!;
        if (score < least || (score === least && equal-- <= 0)) continue;
        chosen.push({ index: data[at + 1]!, worth: data.subarray(at + 2, at + record) });
      }
      return chosen;
    },
  };
}
