/** What a schema finds wrong with a value, in this program's words: the library speaks of what JavaScript calls things. */
import type { z } from "zod";
import { type Table, tableOf } from "./table.ts";

/** `expected a number, found nothing`, of the first thing that is wrong, and the keys that lead to it; empty for the value itself. */
export interface FoundIssue {
  readonly place: string;
  readonly problem: string;
}

export function firstIssue(error: z.ZodError): FoundIssue {
  const [issue] = error.issues;
  if (issue === undefined) return { place: "", problem: "expected another shape" };
  return { place: issue.path.map((step) => String(step)).join("."), problem: problemOf(issue) };
}

const INVALID = /^Invalid input(: )?/;
const RECEIVED = /, received (\w+)$/;

export function problemOf(issue: { readonly message: string }): string {
  const said = issue.message.replace(INVALID, "");
  if (said === "") return "expected another shape";
  return said
    .replace(/^expected record\b/, "expected an object")
    .replace(RECEIVED, (_, what: string) => `, found ${FOUND[what] ?? what}`);
}

const FOUND: Table<string> = tableOf({
  undefined: "nothing",
  NaN: "no number",
  array: "a list",
  object: "an object",
  record: "an object",
  string: "a text",
  number: "a number",
  boolean: "true or false",
});
