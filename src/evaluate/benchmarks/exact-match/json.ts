/**
 * JSON: the whole text, or what stands in its first code fence; equal as values, whatever the order of keys and the
 * spelling of numbers (1.0 is 1). JSON in the middle of prose is not looked for.
 */
import { type Rule, ruleFor } from "./rule.ts";

/** Nesting beyond which nothing is an answer any more, and a recursion no longer safe. */
const DEEPEST = 200;
const FENCE = "```";

export const json: Rule = ruleFor(
  "json",
  "a JSON value, alone or in a code fence, equal whatever the order of its keys",
  (text) => {
    for (const candidate of [text, fenced(text)]) {
      if (candidate === null) continue;
      try {
        return spelling(JSON.parse(candidate), 0);
      } catch {
        // Not JSON, or nested too deeply.
      }
    }
    return null;
  },
);

function fenced(text: string): string | null {
  const open = text.indexOf(FENCE);
  const start = text.indexOf("\n", open) + 1;
  const end = text.indexOf(FENCE, start);
  return open < 0 || start === 0 || end < 0 ? null : text.slice(start, end);
}

function spelling(value: unknown, depth: number): string {
  if (depth > DEEPEST) throw new RangeError("nested too deeply");
  if (Array.isArray(value)) return `[${value.map((item) => spelling(item, depth + 1)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${spelling(item, depth + 1)}`).join(",")}}`;
}
