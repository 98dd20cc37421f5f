/** What is wrong with a merge configuration, collected while it is read, so that all of it can be told at once. */
import type { KeyPath } from "../formats/yaml.ts";

export type PathPart = "key" | "value";

export interface Complaints {
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  error(path: KeyPath, message: string, part?: PathPart): void;
  warn(path: KeyPath, message: string, part?: PathPart): void;
  /** A key nobody knows: an error, or with `--like mergekit` a warning that it was ignored. */
  unknown(path: KeyPath, message: string): void;
}

/** `place` gives the beginning of a message, such as `merge.yaml:4:3`. */
export function createComplaints(place: (path: KeyPath, part: PathPart) => string, likeMergekit: boolean): Complaints {
  const errors: string[] = [];
  const warnings: string[] = [];
  const line = (path: KeyPath, message: string, part: PathPart): string =>
    `${place(path, part)}: ${path.length === 0 ? "" : `${pathText(path)}: `}${message}`;
  return {
    errors,
    warnings,
    error: (path, message, part = "value") => errors.push(line(path, message, part)),
    warn: (path, message, part = "value") => warnings.push(line(path, message, part)),
    unknown: (path, message) => {
      if (likeMergekit) warnings.push(line(path, `${message}; ignored, as mergekit does`, "key"));
      else errors.push(line(path, message, "key"));
    },
  };
}

/** A value as the user would recognise it; long ones are cut. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object") return "a mapping";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

export function isUnset(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `models[1].parameters.weight`. */
function pathText(path: KeyPath): string {
  return path.map((step, at) => (typeof step === "number" ? `[${step}]` : at === 0 ? step : `.${step}`)).join("");
}
