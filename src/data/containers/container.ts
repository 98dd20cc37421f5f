/** What a container of records is. One file a container exports one `Container`; `index.ts` lists them. */
import type { Problem } from "../irregular.ts";
import type { Source } from "./source.ts";

/** A record and its place in the file (`:4`, `: item 3`, `: row 2`), or what is wrong at that place. */
export interface Found {
  readonly place: string;
  readonly record?: unknown;
  readonly problem?: Problem;
}

export interface Container {
  readonly name: string;
  /** One line for the table in `docs/data.md`. */
  readonly summary: string;
  /** With the dot, in lower case. */
  readonly suffixes: readonly string[];
  /** A library reads it: such a file is read in a process with limits. */
  readonly isForeign?: boolean;
  /**
   * Its records in order, a bounded part of the file in memory at a time, and as many at once as come together: waiting
   * for each of them would take most of the time of small ones. A file that is none of its kind throws.
   */
  records(source: Source): AsyncIterable<readonly Found[]>;
}
