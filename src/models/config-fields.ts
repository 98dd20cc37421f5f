/**
 * Typed, checked access to `config.json`. A field of the wrong kind is refused with what was expected and found; a
 * field whose value would change the numbers in a way that is not supported is refused by name, never ignored.
 */
import { inputError, Limitation } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";

export interface ConfigFields {
  /** Path of the file, for messages. */
  readonly path: string;
  /** The field as it is; undefined where it is absent or null. */
  readonly value: (name: string) => unknown;
  /** True where the field is present, be it null. */
  readonly has: (name: string) => boolean;
  /** A whole number of at least one and at most `most`. Without a fallback the field must be there. */
  readonly count: (name: string, fallback?: number, most?: number) => number;
  /** A number above zero that single precision has. */
  readonly positive: (name: string, fallback?: number) => number;
  /** A finite number no smaller than `minimum`. */
  readonly atLeast: (name: string, minimum: number) => number;
  /** As `count`, where null is a value of its own and only an absent field means the fallback. */
  readonly countOrNull: (name: string, fallback: number | null) => number | null;
  /** As `positive`, likewise. */
  readonly positiveOrNull: (name: string, fallback: number | null) => number | null;
  readonly boolean: (name: string, fallback: boolean) => boolean;
  /** The fields of an object within the file; undefined where it is absent or null. */
  readonly section: (name: string) => ConfigFields | undefined;
  /** Names of the fields that are there and not null. */
  readonly names: readonly string[];
  /** Refuses the field where it is there and is none of these values. Null counts as absent. */
  readonly only: (name: string, supported: readonly unknown[]) => void;
  readonly refuse: (name: string, problem: string) => never;
  /** As `refuse`, of a field that is well made and asks for what is not known here. */
  readonly lack: (name: string, problem: string) => never;
}

/** In single precision, which models are computed in, smaller ones are 0 and larger ones infinite. */
const SMALLEST = 1e-30;
const LARGEST = 1e30;

/** Positions, the largest counts that configs have, are some millions; more would overflow where two are multiplied. */
const MOST = 2 ** 32;

/** `json` is the parsed file. */
export function configFields(path: string, json: unknown): ConfigFields {
  if (!isObject(json)) throw inputError(path, `expected a JSON object, found ${excerptOf(json)}`);
  const fields = json;
  const has = (name: string): boolean => Object.hasOwn(fields, name);
  const value = (name: string): unknown => (has(name) ? (fields[name] ?? undefined) : undefined);
  const refuse = (name: string, problem: string): never => {
    throw inputError(`${path}: ${name}`, problem);
  };
  const lack = (name: string, problem: string): never => {
    throw new Limitation(`${path}: ${name}`, problem);
  };
  const read = <T>(name: string, expected: string, holds: (found: unknown) => found is T, fallback?: T): T => {
    const found = value(name) ?? fallback;
    if (holds(found)) return found;
    return refuse(name, `expected ${expected}, found ${excerptOf(found)}`);
  };
  const count: ConfigFields["count"] = (name, fallback, most = MOST) => {
    const found = read(name, "a whole number of at least 1", isCount, fallback);
    return found <= most ? found : refuse(name, `expected at most ${most}, found ${found}`);
  };
  const positive: ConfigFields["positive"] = (name, fallback) => {
    const found = read(name, "a number above 0", isPositive, fallback);
    if (found >= SMALLEST && found <= LARGEST) return found;
    return refuse(name, `expected a number of ${SMALLEST} to ${LARGEST}, found ${found}`);
  };
  return {
    path,
    value,
    has,
    refuse,
    lack,
    count,
    positive,
    atLeast: (name, minimum) =>
      read(name, `a number of at least ${minimum}`, (found): found is number => isPositive(found) && found >= minimum),
    countOrNull: (name, fallback) => (value(name) === undefined ? (has(name) ? null : fallback) : count(name)),
    positiveOrNull: (name, fallback) => (value(name) === undefined ? (has(name) ? null : fallback) : positive(name)),
    section: (name) => {
      const found = value(name);
      if (found === undefined) return undefined;
      if (!isObject(found)) refuse(name, `expected an object or null, found ${excerptOf(found)}`);
      return configFields(`${path}: ${name}`, found);
    },
    names: Object.keys(fields).filter((name) => value(name) !== undefined),
    boolean: (name, fallback) => read(name, "true or false", isBoolean, fallback),
    only: (name, supported) => {
      const found = value(name);
      if (found === undefined || supported.includes(found)) return;
      const others =
        supported.length === 0 ? "leave it out" : `only ${supported.map((value) => excerptOf(value)).join(" or ")}`;
      lack(name, `${excerptOf(found)} is not supported (${others})`);
    },
  };
}

function isObject(found: unknown): found is Readonly<Record<string, unknown>> {
  return typeof found === "object" && found !== null && !Array.isArray(found);
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
