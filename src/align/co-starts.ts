/**
 * Co-start counts C[s, p]: how often source token s and pivot token p began at the same byte of the same response.
 * Few of the possible pairs ever occur (19,000 of 4.9e9 over a megabyte of chat for a 32k and a 152k vocabulary), so
 * they are kept in one open-addressed table of 12 bytes a place: memory grows with the pairs seen, not with the
 * vocabularies.
 */

/** The counts as sparse rows: pivot ids ascending within each source id. */
export interface CoStarts {
  /** [sources + 1] entries of source id s are start[s] .. start[s+1]-1. */
  readonly start: Int32Array;
  readonly pivot: Int32Array;
  readonly count: Float64Array;
}

/** Pairs of tokens with their counts, as they go from thread to thread. */
export interface CountedPairs {
  readonly source: Int32Array;
  readonly pivot: Int32Array;
  readonly count: Uint32Array;
}

export interface CoStartCounter {
  /** Counts a pair once more, or `times` more. */
  add(source: number, pivot: number, times?: number): void;
  /** Adds what another counter has counted. */
  addAll(counted: CountedPairs): void;
  /** What has been counted, in no particular order. */
  pairs(): CountedPairs;
  /** The counts of all source ids below `sources`. */
  counts(sources: number): CoStarts;
}

export function createCoStartCounter(): CoStartCounter {
  let capacity = 1 << 12;
  let used = 0;
  let sourceOf = new Int32Array(capacity);
  let pivotOf = new Int32Array(capacity);
  let countOf = new Uint32Array(capacity);

  const place = (source: number, pivot: number): number => {
    let at = (Math.imul(source, 0x9e3779b1) + Math.imul(pivot, 0x85ebca77)) | 0;
    at = (at ^ (at >>> 15)) & (capacity - 1);
    while (countOf[at] !== 0 && (sourceOf[at] !== source || pivotOf[at] !== pivot)) at = (at + 1) & (capacity - 1);
    return at;
  };
  const grow = (): void => {
    const [sources, pivots, counts] = [sourceOf, pivotOf, countOf];
    capacity *= 2;
    sourceOf = new Int32Array(capacity);
    pivotOf = new Int32Array(capacity);
    countOf = new Uint32Array(capacity);
    for (let i = 0; i < counts.length; i++) {
      if (counts[i] === 0) continue;
      const at = place(sources[i]!, pivots[i]!);
      sourceOf[at] = sources[i]!;
      pivotOf[at] = pivots[i]!;
      countOf[at] = counts[i]!;
    }
  };
  const add = (source: number, pivot: number, times = 1): void => {
    let at = place(source, pivot);
    if (countOf[at] === 0) {
      if (2 * used >= capacity) {
        grow();
        at = place(source, pivot);
      }
      used++;
      sourceOf[at] = source;
      pivotOf[at] = pivot;
    }
    countOf[at]! += times;
  };
  return {
    add,
    addAll: ({ source, pivot, count }) => {
      for (let i = 0; i < source.length; i++) add(source[i]!, pivot[i]!, count[i]!);
    },
    pairs: () => {
      const taken = (_: number, at: number): boolean => countOf[at] !== 0;
      return { source: sourceOf.filter(taken), pivot: pivotOf.filter(taken), count: countOf.filter((n) => n !== 0) };
    },
    counts: (sources) => {
      const start = new Int32Array(sources + 1);
      for (let i = 0; i < capacity; i++) if (countOf[i] !== 0) start[sourceOf[i]! + 1]!++;
      for (let s = 0; s < sources; s++) start[s + 1]! += start[s]!;
      const places = new Int32Array(used);
      const next = start.slice();
      for (let i = 0; i < capacity; i++) if (countOf[i] !== 0) places[next[sourceOf[i]!]!++] = i;
      for (let s = 0; s < sources; s++) {
        if (start[s + 1]! - start[s]! > 1) {
          places.subarray(start[s]!, start[s + 1]!).sort((a, b) => pivotOf[a]! - pivotOf[b]!);
        }
      }
      return {
        start,
        pivot: Int32Array.from(places, (at) => pivotOf[at]!),
        count: Float64Array.from(places, (at) => countOf[at]!),
      };
    },
  };
}
