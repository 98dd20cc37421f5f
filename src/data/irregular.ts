/**
 * Records that cannot be used. What is wrong with one is told twice: as a sentence about this record, and as a reason
 * without its place and its words, by which thousands of such records are counted in a few lines.
 */

import { basename } from "node:path";

/** What is done with a record that cannot be used. */
export const IRREGULAR_RULES = ["refuse", "leave-out"] as const;
export type IrregularRule = (typeof IRREGULAR_RULES)[number];

/** One record's problem. `reason` comes from a fixed stock: never a text of the record. */
export interface Problem {
  readonly reason: string;
  /** What was expected, what was found. */
  readonly sentence: string;
}

/** A record that cannot be used, thrown where that is found. It is never a fault of the program, and has no stack. */
export class Irregular extends Error {
  readonly reason: string;

  constructor(reason: string, sentence: string) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(sentence);
    Error.stackTraceLimit = limit;
    this.reason = reason;
  }
}

/** Records left out for one reason. */
export interface LeftOut {
  readonly reason: string;
  readonly count: number;
  /** The first of them: its file, and its place there (`:4`, `: item 3`). */
  readonly file: string;
  readonly place: string;
}

/** Counts records by reason; of each reason it keeps the first place alone. */
export class LeftOutCounts {
  readonly #byReason = new Map<string, LeftOut & { count: number }>();

  add(reason: string, file: string, place: string): void {
    const known = this.#byReason.get(reason);
    if (known === undefined) this.#byReason.set(reason, { reason, count: 1, file, place });
    else known.count += 1;
  }

  /** Takes over the counts of data that was read later. */
  addAll(counts: readonly LeftOut[]): void {
    for (const one of counts) {
      const known = this.#byReason.get(one.reason);
      if (known === undefined) this.#byReason.set(one.reason, { ...one });
      else known.count += one.count;
    }
  }

  /** In the order in which the reasons were first met. */
  list(): LeftOut[] {
    return [...this.#byReason.values()].map((one) => ({ ...one }));
  }
}

export function countOf(leftOut: readonly LeftOut[]): number {
  return leftOut.reduce((total, { count }) => total + count, 0);
}

/** `3 records are left out: 2 with two turns of the user in a row (first: a.jsonl:4), …` */
export function leftOutSentence(leftOut: readonly LeftOut[]): string {
  const total = countOf(leftOut);
  const parts = leftOut.map(({ reason, count, file, place }) => `${count} ${reason} (first: ${file}${place})`);
  return `${total} ${total === 1 ? "record is" : "records are"} left out: ${parts.join("; ")}`;
}

/** Results are the same bytes wherever the data lies. */
export function withoutFolders(leftOut: readonly LeftOut[]): LeftOut[] {
  return leftOut.map((one) => ({ ...one, file: basename(one.file) }));
}
