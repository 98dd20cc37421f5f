/**
 * Where a tensor's largest scores end, without sorting and without keeping them. Scores are not negative, so their bit
 * patterns order as they do: a first reading counts patterns by their upper bits (11 of exponent, 8 of mantissa: about
 * 0.3% of the entries share a bin), the next ones look into the bin of the wanted rank alone. Few entries of it are kept
 * and sorted; more are counted by their next 16 bits, until one pattern is left. Updates of bfloat16 weights have few
 * bits, so that two readings suffice for them.
 */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk, type Pass } from "../chunk.ts";
import { countBins, takeBetween } from "../kernels/index.ts";

/** Fills `scores[0 .. chunk.count-1]` with numbers of at least 0. */
export type Score = (chunk: Chunk, scores: Float64Array) => void;

/** The largest entries are those above `score`, and of those equal to it the first `equal` in the tensor's order. */
export interface Cut {
  readonly score: number;
  readonly equal: number;
}

/** Where nothing, or everything, is among the largest. */
export const NOTHING: Cut = { score: Number.POSITIVE_INFINITY, equal: 0 };
export const EVERYTHING: Cut = { score: 0, equal: Number.POSITIVE_INFINITY };

/** Bits of a double below those that make a bin. */
const BELOW_BIN = 44n;
const BINS = 1 << 19;
const DIGIT_BITS = 16n;
/** At most so many entries of a bin are sorted, or this share of all. */
const FEW = 4096;
const FEW_SHARE = 128;

export interface Ranking {
  readonly score: Score;
  /** How many entries are wanted: for each a cut. Given the scores of at least 2^-1022, in effect those not 0. */
  readonly counts: (positive: number) => readonly number[];
  /** Sees every reading but the first, with what is known of the first cut that is still searched. */
  readonly watch?: (chunk: Chunk, scores: Float64Array, edge: Edge) => void;
}

/** A cut's score lies from `low` to less than `high`, as that of so many entries. */
export interface Edge {
  readonly low: number;
  readonly high: number;
  readonly entries: number;
}

/** For every ranking the cut of each of its counts; nothing lies above that of a count of 0. */
export function* findCuts(
  size: number,
  rankings: readonly Ranking[],
  memory: BlockMemory,
): Generator<Pass, readonly (readonly Cut[])[], void> {
  const scores = memory.doubles("scores", CHUNK_ENTRIES);
  const histograms = rankings.map((_, r) => memory.words(`histogram ${r}`, BINS).fill(0));
  // No bin above them has entries.
  const tops = rankings.map(() => 0);
  yield (chunk) => {
    for (const [r, { score }] of rankings.entries()) {
      score(chunk, scores);
      tops[r]! |= countBins(scores, chunk.count, histograms[r]!);
    }
  };
  const searches = rankings.map(({ counts }, r) => {
    const histogram = histograms[r]!.subarray(0, tops[r]! + 1);
    return counts(size - histogram[0]!).map((count) => startSearch(histogram, Math.min(size, count)));
  });
  const few = Math.max(FEW, Math.floor(size / FEW_SHARE));
  const taken = memory.doubles("taken", CHUNK_ENTRIES);
  for (;;) {
    const open = rankings.map((_, r) => searches[r]!.filter((search) => search.cut === undefined));
    if (open.every((list) => list.length === 0)) break;
    const takers = open.map((list) => list.map((search) => (search.entries <= few ? sorter(search) : counter(search))));
    yield (chunk) => {
      for (const [r, { score, watch }] of rankings.entries()) {
        if (takers[r]!.length === 0) continue;
        score(chunk, scores);
        watch?.(chunk, scores, takers[r]![0]!);
        for (const { low, high, take } of takers[r]!) {
          take(taken, takeBetween(scores, low, high, chunk.count, taken));
        }
      }
    };
    for (const { settle } of takers.flat()) settle();
  }
  return searches.map((list) => list.map(({ cut }) => cut!));
}

/** What is known of a cut: the upper bits of its score. */
interface Search {
  prefix: bigint;
  /** Bits that follow it. */
  rest: bigint;
  /** Entries whose scores begin with it, and how many of those are wanted. */
  entries: number;
  wanted: number;
  cut: Cut | undefined;
}

function startSearch(histogram: Uint32Array, count: number): Search {
  if (count <= 0) return { prefix: 0n, rest: 0n, entries: 0, wanted: 0, cut: NOTHING };
  const { bin, above } = binOf(histogram, count);
  return { prefix: BigInt(bin), rest: BELOW_BIN, entries: histogram[bin]!, wanted: count - above, cut: undefined };
}

/** The bin in which the `count`-th largest lies, and how many lie above it. */
function binOf(histogram: Uint32Array, count: number): { readonly bin: number; readonly above: number } {
  let above = 0;
  let bin = histogram.length - 1;
  while (bin > 0 && above + histogram[bin]! < count) above += histogram[bin--]!;
  return { bin, above };
}

/** Takes the scores from `low` to less than `high`, chunk by chunk, and then knows more. */
interface Taker extends Edge {
  /** The first `count` of them. */
  take(scores: Float64Array, count: number): void;
  settle(): void;
}

function sorter(search: Search): Taker {
  const all = new Float64Array(search.entries);
  let filled = 0;
  return {
    ...boundsOf(search),
    take: (scores, count) => {
      for (let n = 0; n < count; n++) all[filled++] = scores[n]!;
    },
    settle: () => {
      all.sort();
      const first = all.length - search.wanted;
      const score = all[first]!;
      let equal = 0;
      while (first + equal < all.length && all[first + equal] === score) equal++;
      search.cut = { score, equal };
    },
  };
}

function counter(search: Search): Taker {
  const bits = search.rest < DIGIT_BITS ? search.rest : DIGIT_BITS;
  const shift = Number(search.rest - bits);
  const digits = new Uint32Array(1 << Number(bits));
  const bounds = boundsOf(search);
  // The same array comes with every chunk.
  let words: Uint32Array | undefined;
  // Bits set below the digit in any of the scores.
  let below = 0;
  return {
    ...bounds,
    take: (scores, count) => {
      words ??= new Uint32Array(scores.buffer, scores.byteOffset, 2 * scores.length);
      below |= countDigits(words, count, shift, digits);
    },
    settle: () => {
      const { bin, above } = binOf(digits, search.wanted);
      search.prefix = (search.prefix << bits) | BigInt(bin);
      search.rest -= bits;
      search.entries = digits[bin]!;
      search.wanted -= above;
      if (below === 0) search.cut = { score: boundsOf(search).low, equal: search.wanted };
    },
  };
}

/** Counts the digit that begins `shift` bits from the end of each double; returns the bits below it, all put together. */
function countDigits(words: Uint32Array, count: number, shift: number, digits: Uint32Array): number {
  const mask = digits.length - 1;
  const rest = 2 ** shift - 1;
  let below = 0;
  for (let at = 0; at < 2 * count; at += 2) {
    const low = words[at]!;
    const digit = shift === 0 ? low : (words[at + 1]! << (32 - shift)) | (low >>> shift);
    digits[digit & mask]!++;
    below |= low & rest;
  }
  return below;
}

/** The next larger double. */
export function above(score: number): number {
  if (score === Number.POSITIVE_INFINITY) return score;
  const pattern = new BigUint64Array(Float64Array.of(score).buffer)[0]!;
  return doubleOf(pattern + 1n);
}

/** The smallest double with the prefix, and the smallest above all of them. */
function boundsOf({ prefix, rest, entries }: Search): Edge {
  return { low: doubleOf(prefix << rest), high: doubleOf((prefix + 1n) << rest), entries };
}

function doubleOf(pattern: bigint): number {
  return new Float64Array(BigUint64Array.of(pattern).buffer)[0]!;
}
