/**
 * Typed, checked access to `config.json`. A field of the wrong kind is refused with what was expected and found; a
 * field whose value would change the numbers in a way that is not supported is refused by name, never ignored.
 */
import { inputError } from "../errors.ts";

export interface ConfigFields {
  /** Path of the file, for messages. */
  readonly path: string;
  /** The field as it is; undefined where it is absent or null. */
  readonly value: (name: string) => unknown;
  /** True where the field is present, be it null. */
  readonly has: (name: string) => boolean;
  /** A whole number of at least one. Without a fallback the field must be there. */
  readonly count: (name: string, fallback?: number) => number;
  /** A finite number above zero. */
  readonly positive: (name: string, fallback?: number) => number;
  readonly boolean: (name: string, fallback: boolean) => boolean;
  /** Refuses the field where it is there and is none of these values. */
  readonly only: (name: string, supported: readonly unknown[]) => void;
  readonly refuse: (name: string, problem: string) => never;
}

/** `json` is the parsed file. */
export function configFields(path: string, json: unknown): ConfigFields {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw inputError(path, `expected a JSON object, found ${describe(json)}`);
  }
  const fields = json as Readonly<Record<string, unknown>>;
  const has = (name: string): boolean => Object.hasOwn(fields, name);
  const value = (name: string): unknown => (has(name) ? (fields[name] ?? undefined) : undefined);
  const refuse = (name: string, problem: string): never => {
    throw inputError(`${path}: ${name}`, problem);
  };
  const read = <T>(name: string, expected: string, holds: (found: unknown) => found is T, fallback?: T): T => {
    const found = value(name) ?? fallback;
    if (holds(found)) return found;
    return refuse(name, `expected ${expected}, found ${describe(found)}`);
  };
  return {
    path,
    value,
    has,
    refuse,
    count: (name, fallback) => read(name, "a whole number of at least 1", isCount, fallback),
    positive: (name, fallback) => read(name, "a number above 0", isPositive, fallback),
    boolean: (name, fallback) => read(name, "true or false", isBoolean, fallback),
    only: (name, supported) => {
      const found = value(name);
      if (found === undefined || supported.includes(found)) return;
      refuse(name, `${describe(found)} is not supported (only ${supported.map(describe).join(" or ")})`);
    },
  };
}

function isCount(found: unknown): found is number {
  return Number.isSafeInteger(found) && (found as number) >= 1;
}

function isPositive(found: unknown): found is number {
  return typeof found === "number" && Number.isFinite(found) && found > 0;
}

function isBoolean(found: unknown): found is boolean {
  return typeof found === "boolean";
}

/** A value as the file spells it, cut to a line. */
function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
