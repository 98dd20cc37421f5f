/**
 * A vocabulary map: for each source token (or text) the pivot tokens that take over its probability mass, and their
 * shares. The shares of one source token add up to one, or there is no place and the mass goes to the tail.
 */
export interface SparseMap {
  /** [N + 1] places of source n are start[n] .. start[n+1]-1. */
  readonly start: Int32Array;
  /** Pivot ids, each at most once per source. */
  readonly pivot: Int32Array;
  /** Share of the mass, 0 to 1. */
  readonly share: Float64Array;
}

export interface SparseMapBuilder {
  /** Adds a place for the current source. */
  place(pivot: number, share: number): void;
  /** Ends the places of the current source and goes on to the next. */
  next(): void;
  build(): SparseMap;
}

export function createSparseMapBuilder(): SparseMapBuilder {
  const start: number[] = [0];
  const pivots: number[] = [];
  const shares: number[] = [];
  return {
    place: (pivot, share) => {
      pivots.push(pivot);
      shares.push(share);
    },
    next: () => {
      start.push(pivots.length);
    },
    build: () => ({ start: Int32Array.from(start), pivot: Int32Array.from(pivots), share: Float64Array.from(shares) }),
  };
}

/** A map that gives all the mass of source n to `pivots[n]`, or to nobody where that is -1. */
export function oneToOne(pivots: Int32Array): SparseMap {
  const builder = createSparseMapBuilder();
  for (const pivot of pivots) {
    if (pivot >= 0) builder.place(pivot, 1);
    builder.next();
  }
  return builder.build();
}

/** True where source n has a place. */
export function hasPlace(map: SparseMap, n: number): boolean {
  return map.start[n + 1]! > map.start[n]!;
}
