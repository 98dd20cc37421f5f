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

export interface CoStartCounter {
  add(source: number, pivot: number): void;
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
  return {
    add: (source, pivot) => {
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
      countOf[at]!++;
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
