/**
 * Values of columnar files as the JSON that they were made of: an object has the fields that its row fills, whole
 * numbers are numbers, lists are arrays.
 */
import { Irregular, type Problem } from "../irregular.ts";
import type { Found } from "./container.ts";

/** More items of one list are none: a damaged file may claim any number. */
const LONGEST_LIST = 1 << 20;

/** Schemas of chats are a few levels deep. */
const DEEPEST = 64;

/** A row as a record, or what is wrong with it. */
export function foundRow(place: string, row: unknown): Found {
  try {
    return { place, record: plain(row, 0) };
  } catch (error) {
    if (!(error instanceof Irregular)) throw error;
    const problem: Problem = { reason: error.reason, sentence: error.message };
    return { place, problem };
  }
}

function plain(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  // Pictures and sounds: what matters is that there is something.
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (depth === DEEPEST) {
    throw new Irregular("nested too deep", `expected at most ${DEEPEST} levels of lists and objects, found more`);
  }
  if ("length" in value && Number(value.length) > LONGEST_LIST) {
    throw new Irregular(
      "that are too long",
      `expected lists of at most ${LONGEST_LIST} items, found one of ${value.length}`,
    );
  }
  if ("toJSON" in value && typeof value.toJSON === "function") return plain(value.toJSON(), depth + 1);
  if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array);
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  // Rows of one column share the fields of all of them: those that a row does not fill are null.
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, inner]) => [name, plain(inner, depth + 1)] as const)
      .filter(([, inner]) => inner !== null && inner !== undefined),
  );
}
