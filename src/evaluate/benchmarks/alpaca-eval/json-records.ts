/** The benchmark's files are JSON arrays of objects: read, checked against a schema, or refused with the place. */

import type { z } from "zod";
import { inputError } from "../../../errors.ts";
import { exists, readJson } from "../../../formats/files.ts";
import { firstIssue } from "../../../issue.ts";

/** `what` the file should be, and where it comes from, is told where it is missing or another. */
export async function readJsonRecords<T>(path: string, schema: z.ZodType<T>, what: string): Promise<T[]> {
  if (!(await exists(path))) throw inputError(path, `no such file; expected ${what}`);
  const value = await readJson(path);
  if (!Array.isArray(value) || value.length === 0) {
    throw inputError(path, `expected ${what}, a JSON array of objects, found ${kindOf(value)}`);
  }
  return value.map((record, at) => {
    const parsed = schema.safeParse(record);
    if (parsed.success) return parsed.data;
    const { place, problem } = firstIssue(parsed.error);
    throw inputError(
      `${path}: record ${at + 1}`,
      `${place === "" ? "" : `${place}: `}${problem}; the file should be ${what}`,
    );
  });
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "an empty one";
  return value === null ? "null" : `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
}

/** Unicode code points, which the benchmark counts lengths in. */
export function codePoints(text: string): number {
  let count = text.length;
  for (let at = 0; at + 1 < text.length; at++) {
    if (isHigh(text.charCodeAt(at)) && isLow(text.charCodeAt(at + 1))) count--;
  }
  return count;
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
