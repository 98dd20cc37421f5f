/**
 * The program's own JSON files, checked like foreign ones: somebody may have edited them, a disk may have lost a part,
 * and what is read as it stands comes out as an internal error far away.
 */

import type { z } from "zod";
import { inputError } from "../errors.ts";
import { firstIssue } from "../issue.ts";
import { readJson } from "./files.ts";

/** A file as the schema has it; `what` it should be, for the message: `the inputs of a run`. */
export async function readChecked<T>(path: string, schema: z.ZodType<T>, what: string): Promise<T> {
  return checked(path, await readJson(path), schema, what);
}

/** The same with all that the schema does not name, for whoever reads more of the file than what the schema holds him to. */
export async function readWhole(path: string, schema: z.ZodType, what: string): Promise<unknown> {
  const value = await readJson(path);
  checked(path, value, schema, what);
  return value;
}

/** The same of a value that was read at `where`. */
export function checked<T>(where: string, value: unknown, schema: z.ZodType<T>, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { place, problem } = firstIssue(result.error);
  const at = place === "" ? "" : `${place}: `;
  throw inputError(where, `expected ${what} as this program writes it, but it is not: ${at}${problem}`);
}
