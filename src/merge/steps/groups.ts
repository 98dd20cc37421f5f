/**
 * Parts of a tensor that are merged with coefficients of their own: the whole of it, its rows or its columns. Chunks
 * do not respect rows, so a chunk is walked in runs of consecutive entries of one group.
 */
import type { Chunk } from "../method.ts";

export interface Groups {
  readonly count: number;
  /** Entries of one group that follow each other: a row, or a single entry of a column. */
  readonly run: number;
}

export const WHOLE: Groups = { count: 1, run: Number.POSITIVE_INFINITY };

/** Groups of `run` consecutive entries. */
export function rowsOf(size: number, run: number): Groups {
  return { count: Math.ceil(size / run), run };
}

/** The entries of one place in rows of `width`. */
export function columnsOf(width: number): Groups {
  return { count: width, run: 1 };
}

/** Calls `visit` for every run in the chunk: its group, and its first and last + 1 entry within the chunk. */
export function forEachRun(
  { count, run }: Groups,
  chunk: Chunk,
  visit: (group: number, from: number, to: number) => void,
): void {
  let group = count === 1 ? 0 : Math.floor(chunk.start / run) % count;
  let rest = count === 1 ? chunk.count : run - (chunk.start % run);
  for (let from = 0; from < chunk.count; ) {
    const to = Math.min(chunk.count, from + rest);
    visit(group, from, to);
    from = to;
    rest = run;
    group = group + 1 === count ? 0 : group + 1;
  }
}
