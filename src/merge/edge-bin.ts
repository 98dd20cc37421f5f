/**
 * The entries of the bin in which the edge of a selection lies: which of them are among the largest. Few are kept and
 * sorted; many, which as a rule have few distinct scores, get codes.
 */
import { internalError } from "../errors.ts";
import type { Chunk } from "./method.ts";

/** Adds what entry `i` of the chunk is worth to `sums[at ..]`. */
export type AddEntry = (chunk: Chunk, i: number, sums: Float64Array, at: number) => void;

/** Distinct scores of such a bin that two bytes tell apart; where there are more the tensor is read once more. */
const MOST_CODES = 1 << 16;

/** Sets the bit of an entry. */
export function mark(bits: Uint32Array, index: number): void {
  bits[index >>> 5]! |= 1 << (index & 31);
}

/** The score of the last entry that is selected, and how many of that score are. */
export interface Cut {
  readonly score: number;
  readonly equal: number;
}

export interface TiedEntries {
  /** Entry `index` of the tensor, whose score is the one at `i`; `words` are those of the scores. */
  add(index: number, i: number, scores: Float64Array, words: Uint32Array): void;
  /** Where the `wanted`-th largest lies. */
  cut(wanted: number): Cut;
  /** Marks what is selected; false, and nothing is marked, where the scores are more than two bytes can tell apart. */
  mark(cut: Cut, bits: Uint32Array): boolean;
}

/**
 * The entries of a full bin at the edge: how often each score comes, and as long as they are few which entry has which,
 * a bit an entry of the tensor and two bytes an entry of the bin. Scores get their codes in a hash table of their bit
 * patterns: a Map would allocate an object for every number that it is asked for.
 */
export function createTied(size: number, inEdge: number): TiedEntries {
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
    add: (index, i, scores, words) => {
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
    cut: (wanted) => {
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
    mark: ({ score, equal }, bits) => {
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

export interface KeptEntries {
  keep(chunk: Chunk, i: number, score: number, add: AddEntry): void;
  /** The `wanted` largest, in index order. */
  largest(wanted: number): readonly KeptEntry[];
}

export interface KeptEntry {
  readonly index: number;
  /** [width] */
  readonly worth: Float64Array;
}

/** The entries of the bin at the edge, in index order: score, index and what they are worth. */
export function createKept(width: number): KeptEntries {
  const record = 2 + width;
  let data = new Float64Array(1024 * record);
  let count = 0;
  return {
    keep: (chunk, i, score, add) => {
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
    largest: (wanted) => {
      const scores = Float64Array.from({ length: count }, (_, n) => data[n * record]!).sort();
      const least = scores[count - wanted]!;
      let equal = 0;
      for (let n = count - wanted; n < count && scores[n] === least; n++) equal++;
      const chosen: KeptEntry[] = [];
      for (let at = 0; at < count * record; at += record) {
        const score = data[at]!;
        if (score < least || (score === least && equal-- <= 0)) continue;
        chosen.push({ index: data[at + 1]!, worth: data.subarray(at + 2, at + record) });
      }
      return chosen;
    },
  };
}
