/**
 * Which program computed something. Every record of a result names the version, and with it a number of its kind that
 * changes only where the same inputs and settings come out otherwise: with a new version of the same number, an old
 * result is what a new one would be.
 */
import { readFileSync } from "node:fs";

export const VERSION: string = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
).version;

/** Raise the number of a kind with the change that lets its results, or their files, come out otherwise. */
const REVISIONS = { data: 2, distributions: 1, alignment: 2, target: 1, merge: 1, evaluation: 1 } as const;

export type ResultKind = keyof typeof REVISIONS;

export interface Program {
  readonly version: string;
  readonly revision: number;
}

/** This program, as a record of such a result names it. */
export function programOf(kind: ResultKind): Program {
  return { version: VERSION, revision: REVISIONS[kind] };
}

/** Who computed a result, where this program would compute it otherwise; null where it would not. */
export function otherProgram(found: unknown, kind: ResultKind): string | null {
  if (typeof found !== "object" || found === null) return "a version of fusechat that did not say which it was";
  const { version, revision } = found as Partial<Program>;
  return revision === REVISIONS[kind] ? null : `fusechat ${version}`;
}

/** The sentence about a result that another program computed. */
export function computedOtherwise(what: string, by: string): string {
  return `${what} by ${by}; fusechat ${VERSION} computes that otherwise`;
}
