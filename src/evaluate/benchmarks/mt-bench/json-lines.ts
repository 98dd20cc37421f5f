/** FastChat's files are JSON Lines: every record with its place, checked against a schema or refused with that place. */

import type { z } from "zod";
import { inputError } from "../../../errors.ts";
import { exists, readText } from "../../../formats/files.ts";
import { problemOf } from "../../../issue.ts";

export interface Placed<T> {
  /** `file:line`. */
  readonly where: string;
  readonly record: T;
}

/** All records of a file; blank lines are none. `what` the file should be, and where it comes from, is told where it is missing. */
export async function readRecords<T>(path: string, schema: z.ZodType<T>, what: string): Promise<Placed<T>[]> {
  if (!(await exists(path))) throw inputError(path, `no such file; expected ${what}`);
  const text = await readText(path);
  const found: Placed<T>[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const where = `${path}:${index + 1}`;
    found.push({ where, record: parsed(line, schema, where, what) });
  }
  if (found.length === 0) throw inputError(path, `the file is empty; expected ${what}`);
  return found;
}

function parsed<T>(line: string, schema: z.ZodType<T>, where: string, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw inputError(
      where,
      `expected a JSON object, one a line, found something else; the file should be ${what}`,
      error,
    );
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const place = issue.path.length === 0 ? "" : `${issue.path.map(String).join(".")}: `;
  throw inputError(where, `${place}${problemOf(issue)}; the file should be ${what}`);
}

/** One record a line. */
export function jsonLines(records: readonly unknown[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}
