/**
 * What is wrong with a request, in a sentence: which parameter, what was expected there, what was found. Of a parameter that may
 * have several forms the one is spoken of that the request came nearest to.
 */
import type { z } from "zod";
import { excerptOf } from "../excerpt.ts";
import { type Table, tableOf } from "../table.ts";

export interface RequestProblem {
  /** With dots, `messages.0.content`; empty for the body itself. */
  readonly param: string;
  readonly problem: string;
}

type Issue = z.core.$ZodIssue;

/** Of an issue that was made with `reportInput`. */
export function requestProblem(issue: Issue): RequestProblem {
  const { place, expected, found } = nearest(issue);
  const param = place.map(String).join(".");
  // What a schema says by itself: `is not supported; leave it out`.
  if (expected === null) return { param, problem: issue.message };
  return { param, problem: `expected ${expected}, found ${excerptOf(found)}` };
}

interface Expectation {
  readonly place: readonly PropertyKey[];
  readonly expected: string | null;
  readonly found: unknown;
}

function nearest(issue: Issue): Expectation {
  const { path, input } = issue;
  if (issue.code !== "invalid_union") return { place: path, expected: expectedBy(issue), found: input };
  if (issue.discriminator !== undefined) {
    const found = (input as Readonly<Record<string, unknown>> | undefined)?.[issue.discriminator];
    const known: readonly unknown[] = "options" in issue && Array.isArray(issue.options) ? issue.options : [];
    return { place: path, expected: alternatives(known.map((one) => excerptOf(one))), found };
  }
  const forms = issue.errors.flatMap(([first]) => (first === undefined ? [] : [nearest(first)]));
  const [best] = [...forms].sort((a, b) => compareDepth(b.place, a.place));
  if (best !== undefined && best.place.length > 0) return { ...best, place: [...path, ...best.place] };
  const expected = new Set(forms.flatMap((form) => (form.expected === null ? [] : [form.expected])));
  // A list that is too short was a list.
  const filled = [...expected].filter((one) => !Array.isArray(input) || one !== WORDS.string);
  return { place: path, expected: alternatives(filled), found: input };
}

/** How far a reader came in a value before it failed: deeper, or later in a list. */
function compareDepth(a: readonly PropertyKey[], b: readonly PropertyKey[]): number {
  if (a.length !== b.length) return a.length - b.length;
  const last = (place: readonly PropertyKey[]): number => (typeof place.at(-1) === "number" ? Number(place.at(-1)) : 0);
  return last(a) - last(b);
}

const WORDS: Table<string> = tableOf({
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
});

/** Null where only the schema itself can say it. */
function expectedBy(issue: Issue): string | null {
  switch (issue.code) {
    case "invalid_type":
      return WORDS[issue.expected] ?? issue.expected;
    case "invalid_value":
      return alternatives(issue.values.map((one) => excerptOf(one)));
    case "too_small":
      return bound(issue.origin, issue.inclusive === false ? "more than" : "at least", issue.minimum);
    case "too_big":
      return bound(issue.origin, issue.inclusive === false ? "less than" : "at most", issue.maximum);
    default:
      return null;
  }
}

function bound(origin: string, how: string, limit: number | bigint): string {
  const many = Number(limit) === 1 ? "" : "s";
  if (origin === "string") return `a text of ${how} ${limit} character${many}`;
  if (origin === "array") return `a list of ${how} ${limit} item${many}`;
  return `${WORDS[origin] ?? "a number"} of ${how} ${limit}`;
}

function alternatives(all: readonly string[]): string {
  const last = all.at(-1) ?? "another value";
  return all.length < 2 ? last : `${all.slice(0, -1).join(", ")} or ${last}`;
}
