/** Values of foreign records: what they are, and what may be taken from them. Nothing here recurses into a record. */
import { withoutStacks } from "../../errors.ts";
import { Irregular } from "../irregular.ts";

export type Foreign = Readonly<Record<string, unknown>>;

/** Half of a surrogate pair: not a character, and nothing that UTF-8 can hold. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Tool calls and tools deeper than this are none; every serialiser has its own limit further up. */
const DEEPEST = 64;

/** Columnar files give null for what a record does not say. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Given, and neither an empty text nor an empty list or object. */
export function isFilled(value: unknown): boolean {
  if (!isGiven(value) || value === "") return false;
  if (typeof value !== "object") return true;
  return Array.isArray(value) ? value.length > 0 : Object.keys(value as object).length > 0;
}

export function isObject(value: unknown): value is Foreign {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function textOf(value: unknown, where: string): string {
  if (typeof value !== "string") {
    throw new Irregular("with something other than a text", `expected ${where} to be a text, found ${describe(value)}`);
  }
  if (LONE_SURROGATE.test(value)) {
    throw new Irregular(
      "with half of a surrogate pair",
      `${where} has half of a surrogate pair, which is no character`,
    );
  }
  return value;
}

/** A list, also where a column of texts holds it as JSON, or as columns of its own (`{"from": […], "value": […]}`). */
export function listOf(value: unknown, where: string): readonly unknown[] {
  const list = typeof value === "string" ? parsedJson(value) : value;
  if (Array.isArray(list)) return list;
  const rows = isObject(list) ? rowsOf(list) : undefined;
  if (rows !== undefined) return rows;
  throw new Irregular("without a list where one is needed", `expected ${where} to be a list, found ${describe(value)}`);
}

/** `datasets` stores a sequence of objects as an object of sequences. */
function rowsOf(columns: Foreign): readonly unknown[] | undefined {
  const entries = Object.entries(columns).filter(([, column]) => isGiven(column));
  const length = (entries[0]?.[1] as { length?: unknown } | undefined)?.length;
  if (typeof length !== "number") return undefined;
  if (!entries.every(([, column]) => Array.isArray(column) && column.length === length)) return undefined;
  return Array.from({ length }, (_, row) =>
    Object.fromEntries(entries.map(([name, column]) => [name, (column as readonly unknown[])[row]])),
  );
}

/** The value of a JSON text, or undefined where it is none. */
export function parsedJson(text: string): unknown {
  try {
    return withoutStacks(() => JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** JSON that a template will write: bounded in depth, with whole characters alone. */
export function checkJson(value: unknown, where: string): void {
  const open: { readonly value: unknown; readonly depth: number }[] = [{ value, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value === "string") textOf(next.value, where);
    if (typeof next.value === "number" && !Number.isFinite(next.value)) {
      throw new Irregular(
        "with a number that JSON cannot hold",
        `${where} has the number ${next.value}, which JSON cannot hold`,
      );
    }
    if (typeof next.value !== "object" || next.value === null) continue;
    if (next.depth === DEEPEST) {
      throw new Irregular("nested too deep", `${where} is nested deeper than ${DEEPEST} levels`);
    }
    const depth = next.depth + 1;
    for (const [name, inner] of Object.entries(next.value)) {
      textOf(name, where);
      open.push({ value: inner, depth });
    }
  }
}

/** Characters of a value that a message has. */
export const DESCRIBED = 40;

/** A value in a few words. No more of it is looked at than is told: thousands of rows may share a name of megabytes. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  const text = typeof value === "bigint" ? String(value) : JSON.stringify(beginningOf(value));
  return text.length > DESCRIBED ? `${text.slice(0, DESCRIBED)}…` : text;
}

/** Of a text as much as decides what is told of it. */
function beginningOf(value: unknown): unknown {
  return typeof value === "string" ? value.slice(0, DESCRIBED + 1) : value;
}
