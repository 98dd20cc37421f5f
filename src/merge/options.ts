/**
 * A method's options: checked where they are written, value by value, and resolved for each tensor. A model's own
 * setting comes before that for the whole merge, and that before the method's default.
 */

import type { z } from "zod";
import { inputError, suggestion } from "../errors.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { emptyTable, type Table, tableOf } from "../table.ts";
import { type Complaints, isRecord, isUnset, show } from "./complaints.ts";
import type { MergeMethod } from "./method.ts";
import { type Depth, type Parameters, type ParameterValue, plainValue, resolveSetting } from "./parameters.ts";

/** Parameters of any of mergekit's methods: where they do nothing they are passed over, with a warning. */
const MERGEKIT_PARAMETERS = (
  "weight density normalize rescale lambda int8_mask epsilon gamma t select_topk scale filter_wise tol max_iter " +
  "nuslerp_row_wise nuslerp_flatten normalize_weights eps r alpha"
).split(" ");
const FILTER_KEYS = ["filter", "value"];

/** Reads a `parameters` mapping of the whole merge or of one model; what is wrong goes to `complaints`. */
export function readParameters(
  value: unknown,
  path: KeyPath,
  method: MergeMethod | undefined,
  scope: "merge" | "model",
  complaints: Complaints,
): Parameters | undefined {
  if (isUnset(value)) return undefined;
  if (!isRecord(value)) {
    complaints.error(path, `expected a mapping of parameters, found ${show(value)}`);
    return undefined;
  }
  if (method === undefined) return undefined;
  const ofModels = shapeOf(method.modelOptions);
  const ofMerge = shapeOf(method.options);
  const known = new Map<string, unknown>();
  for (const [key, setting] of Object.entries(value)) {
    const field = ofModels[key] ?? (scope === "merge" ? ofMerge[key] : undefined);
    if (field !== undefined) {
      checkSetting(setting, [...path, key], field, complaints);
      known.set(key, setting);
    } else if (ofMerge[key] !== undefined) {
      complaints.unknown([...path, key], "is one value for the whole merge; set it under the top-level parameters");
    } else if (MERGEKIT_PARAMETERS.includes(key)) {
      complaints.warn([...path, key], `has no effect on ${method.name}`, "key");
    } else {
      const names = [...Object.keys(ofModels), ...(scope === "merge" ? Object.keys(ofMerge) : [])];
      complaints.unknown([...path, key], `${method.name} has no such parameter${suggestion(key, names)}`);
    }
  }
  return known.size === 0 ? undefined : (Object.fromEntries(known) as Parameters);
}

/** Settings in the order in which they hold, each with the name of the tensor that its filters look at. */
export type Scopes = readonly { readonly parameters: Parameters | undefined; readonly tensor: string }[];

export interface ResolvedOptions {
  readonly options: Record<string, unknown>;
  /** One per model. */
  readonly modelOptions: readonly Record<string, unknown>[];
}

/**
 * Options of one tensor, of depth `depth`. `shared` are the scopes of the whole merge, innermost first; each model's
 * own come before them.
 */
export function resolveOptions(
  method: MergeMethod,
  shared: Scopes,
  models: readonly { readonly name: string; readonly scopes: Scopes }[],
  tensor: string,
  depth: Depth,
): ResolvedOptions {
  const parse = (schema: z.ZodObject, scopes: Scopes, where: string): Record<string, unknown> => {
    const found = valuesOf(schema, scopes, depth);
    const result = schema.safeParse(found);
    if (result.success) return result.data;
    const key = String(result.error.issues[0]?.path[0]);
    const problem = found[key] === undefined ? "found none" : `found ${show(found[key])}`;
    throw inputError(where, `${method.name} needs the parameter ${key} for ${JSON.stringify(tensor)}; ${problem}`);
  };
  return {
    options: parse(method.options, shared, "parameters"),
    modelOptions: models.map(({ name, scopes }) => parse(method.modelOptions, [...scopes, ...shared], name)),
  };
}

/** The first value of each option that any scope has for the tensor. */
function valuesOf(schema: z.ZodObject, scopes: Scopes, depth: Depth): Record<string, ParameterValue> {
  const found: Record<string, ParameterValue> = emptyTable();
  for (const key of Object.keys(schema.shape)) {
    for (const { parameters, tensor } of scopes) {
      const setting = parameters?.[key];
      const value = setting === undefined ? undefined : resolveSetting(setting, tensor, depth);
      if (value === undefined) continue;
      found[key] = value;
      break;
    }
  }
  return found;
}

/** The options without a default, which a configuration has to give. */
export function requiredOptions(schema: z.ZodObject): string[] {
  return Object.entries(shapeOf(schema))
    .filter(([, field]) => !field.safeParse(undefined).success)
    .map(([key]) => key);
}

/** A value, a gradient, a filtered value or a list of these; each value inside has to suit the option. */
function checkSetting(setting: unknown, path: KeyPath, field: z.ZodType, complaints: Complaints): void {
  if (!Array.isArray(setting)) {
    if (isRecord(setting)) checkFiltered(setting, path, field, complaints);
    else checkValue(setting, path, field, complaints);
    return;
  }
  if (setting.length === 0) complaints.error(path, "expected at least one value, found an empty list");
  const filtered = setting.filter(isRecord).length;
  if (filtered > 0 && filtered < setting.length) {
    complaints.error(path, "expected either values or filters with values, found both in one list");
    return;
  }
  setting.forEach((entry: unknown, index) => {
    if (isRecord(entry)) checkFiltered(entry, [...path, index], field, complaints);
    else checkValue(entry, [...path, index], field, complaints);
  });
}

function checkFiltered(entry: Record<string, unknown>, path: KeyPath, field: z.ZodType, complaints: Complaints): void {
  for (const key of Object.keys(entry)) {
    if (!FILTER_KEYS.includes(key)) complaints.unknown([...path, key], `unknown key${suggestion(key, FILTER_KEYS)}`);
  }
  if (!isUnset(entry.filter) && typeof entry.filter !== "string") {
    complaints.error([...path, "filter"], `expected a part of tensor names, found ${show(entry.filter)}`);
  }
  const value = entry.value;
  const at = [...path, "value"];
  if (!Array.isArray(value)) checkValue(value, at, field, complaints);
  else if (value.length === 0) complaints.error(at, "expected at least one value, found an empty list");
  else for (const [index, one] of value.entries()) checkValue(one, [...at, index], field, complaints);
}

function checkValue(value: unknown, path: KeyPath, field: z.ZodType, complaints: Complaints): void {
  const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  const result = field.safeParse(isPlain ? plainValue(value) : (value ?? null));
  if (result.success) return;
  const issue = result.error.issues[0]!;
  if (issue.code === "invalid_value") {
    const names = issue.values.map(String);
    const hint = typeof value === "string" ? suggestion(value, names) : "";
    complaints.error(path, `expected one of ${names.join(", ")}, found ${show(value)}${hint}`);
    return;
  }
  const kind = issue.code === "invalid_type" ? (KINDS[issue.expected] ?? issue.expected) : issue.message;
  complaints.error(path, `expected ${kind}, found ${show(value)}`);
}

const KINDS: Table<string> = tableOf({
  number: "a finite number",
  boolean: "true or false",
  string: "a word",
});

function shapeOf(schema: z.ZodObject): Table<z.ZodType> {
  return tableOf(schema.shape as Record<string, z.ZodType>);
}
