/**
 * What is wrong with a recipe, in sentences: zod's issues with the path each belongs to. Unknown keys and names come
 * with a suggestion.
 */

import { z } from "zod";
import { suggestion } from "../errors.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { type Table, tableOf } from "../table.ts";

export interface RecipeProblem {
  readonly path: KeyPath;
  /** The problem lies in the key itself, not in its value. */
  readonly key?: boolean;
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

/** Names that the design has and this version has not. */
const NOT_YET: Table<string> = tableOf({
  endpoint: "a server is named by its kind",
});

/** `issues` must carry their inputs (`reportInput: true`). */
export function describeIssues(issues: readonly Issue[], schema: z.ZodType): RecipeProblem[] {
  const problems = issues.flatMap((issue) => describeIssue(issue, [], schema));
  const refused = problems.filter(({ message }) => Object.values(NOT_YET).some((text) => message.startsWith(text)));
  // The settings of an engine that is refused by name are not worth a line each.
  const isMoot = (problem: RecipeProblem): boolean =>
    problem.key === true && refused.some(({ path }) => samePath(path.slice(0, -1), problem.path.slice(0, -1)));
  return problems.filter((problem) => !isMoot(problem));
}

/** `sources[1].model`. */
export function pathText(path: KeyPath): string {
  return path
    .map((step, index) => (typeof step === "number" ? `[${step}]` : `${index === 0 ? "" : "."}${step}`))
    .join("");
}

function describeIssue(issue: Issue, prefix: KeyPath, schema: z.ZodType): RecipeProblem[] {
  const path: KeyPath = [...prefix, ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))];
  const found = `found ${show(issue.input)}`;
  switch (issue.code) {
    case "invalid_type":
      return [{ path, message: `expected ${TYPE_NAMES[issue.expected] ?? issue.expected}, ${found}` }];
    case "too_small":
      return [{ path, message: `expected ${bound(issue.origin, issue.minimum, issue.inclusive, "least")}, ${found}` }];
    case "too_big":
      return [{ path, message: `expected ${bound(issue.origin, issue.maximum, issue.inclusive, "most")}, ${found}` }];
    case "invalid_key":
      return issue.issues
        .flatMap((inner) => describeIssue(inner, path, schema))
        .map((problem) => ({ ...problem, key: true }));
    case "invalid_format":
    case "custom":
      return [{ path, message: `expected ${issue.message}, ${found}` }];
    case "invalid_value": {
      const names = issue.values.map(String);
      const word = typeof issue.input === "string" ? issue.input : "";
      const expected = oneOf(names);
      const later = NOT_YET[word];
      if (later !== undefined) return [{ path, message: `${later}; expected ${expected}, ${found}` }];
      return [{ path, message: `expected ${expected}, ${found}${suggestion(word, names)}` }];
    }
    case "unrecognized_keys": {
      const known = knownKeys(schema, path, issue.input);
      return issue.keys.map((key) => ({
        path: [...path, key],
        key: true,
        message: `unknown key${suggestion(key, known) || (known.length > 0 ? `; expected one of ${known.join(", ")}` : "")}`,
      }));
    }
    case "invalid_union":
      if (issue.errors.length === 0) return [describeDiscriminator(issue, path)];
      return describeUnion(issue.errors, path, issue.input, schema);
    default:
      return [{ path, message: issue.message }];
  }
}

/** A mapping whose form goes by one of its keys, and that key is missing or unknown. */
function describeDiscriminator(issue: z.core.$ZodIssueInvalidUnion, path: KeyPath): RecipeProblem {
  const { discriminator = "", options = [] } = issue as { discriminator?: string; options?: readonly unknown[] };
  const value = (issue.input as Record<string, unknown>)[discriminator];
  const names = options.map(String);
  const word = typeof value === "string" ? value : "";
  return { path, message: `expected one of ${names.join(", ")}, found ${show(value)}${suggestion(word, names)}` };
}

/** Of a union the branch that has the right type speaks; where none has, all their types are what was expected. */
function describeUnion(
  branches: readonly Issue[][],
  path: KeyPath,
  input: unknown,
  schema: z.ZodType,
): RecipeProblem[] {
  const wrongTypes = branches.map((issues) => issues.find((issue) => issue.path.length === 0 && isTypeIssue(issue)));
  const fitting = branches.filter((_, index) => wrongTypes[index] === undefined);
  if (fitting.length > 0) return fitting[0]!.flatMap((issue) => describeIssue(issue, path, schema));
  const expected = wrongTypes.map((issue) => {
    if (issue?.code === "invalid_value") return oneOf(issue.values.map(String));
    return issue?.code === "invalid_type" ? (TYPE_NAMES[issue.expected] ?? issue.expected) : "";
  });
  const word = typeof input === "string" ? input : "";
  const later = NOT_YET[word] === undefined ? "" : `${NOT_YET[word]}; `;
  const names = wrongTypes.flatMap((issue) => (issue?.code === "invalid_value" ? issue.values.map(String) : []));
  const found = `found ${show(input)}${suggestion(word, names)}`;
  return [{ path, message: `${later}expected ${[...new Set(expected)].join(" or ")}, ${found}` }];
}

function oneOf(names: readonly string[]): string {
  return names.length === 1 ? names[0]! : `one of ${names.join(", ")}`;
}

function isTypeIssue(issue: Issue): boolean {
  return issue.code === "invalid_type" || issue.code === "invalid_value";
}

const TYPE_NAMES: Table<string> = tableOf({
  int: "a whole number",
  number: "a number",
  string: "text",
  boolean: "true or false",
  array: "a list",
  object: "a mapping of keys",
  record: "a mapping of names",
});

function bound(origin: string, limit: number | bigint, inclusive: boolean | undefined, word: "least" | "most"): string {
  if (origin === "string") return word === "least" ? "text" : `at most ${limit} characters`;
  if (origin === "array") return `at ${word} ${limit} ${Number(limit) === 1 ? "entry" : "entries"}`;
  if (inclusive !== false) return `at ${word} ${limit}`;
  return `${word === "least" ? "more" : "less"} than ${limit}`;
}

/** A value as the user would recognise it; long ones are cut. */
function show(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object") return "a mapping";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The keys that the schema knows at a path, in the schema's order; of several forms those that `input` chose. */
function knownKeys(schema: z.ZodType, path: KeyPath, input: unknown): string[] {
  let places: z.ZodType[] = [schema];
  for (const step of path) places = places.flatMap(unwrap).flatMap((place) => child(place, step));
  const objects = places.flatMap(unwrap).filter((place) => place instanceof z.ZodObject);
  return [...new Set(objects.filter(({ shape }) => isChosen(shape, input)).flatMap(({ shape }) => Object.keys(shape)))];
}

/** False where a key of the form has one allowed value, and the input another. */
function isChosen(shape: z.core.$ZodShape, input: unknown): boolean {
  return Object.entries(shape).every(
    ([key, field]) => !(field instanceof z.ZodLiteral) || field.value === (input as Record<string, unknown>)[key],
  );
}

function child(place: z.ZodType, step: string | number): z.ZodType[] {
  if (place instanceof z.ZodArray) return [place.element as z.ZodType];
  const shape: Record<string, z.ZodType> = place instanceof z.ZodObject ? place.shape : {};
  return Object.hasOwn(shape, step) ? [shape[step]!] : [];
}

/** The schemas inside defaults, optional fields and unions. */
export function unwrap(schema: z.ZodType): z.ZodType[] {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return unwrap(schema.unwrap() as z.ZodType);
  }
  if (schema instanceof z.ZodUnion) return (schema.options as z.ZodType[]).flatMap(unwrap);
  return [schema];
}

function samePath(a: KeyPath, b: KeyPath): boolean {
  return a.length === b.length && a.every((step, index) => String(step) === String(b[index]));
}
