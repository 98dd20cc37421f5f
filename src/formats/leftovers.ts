/**
 * What a killed process leaves in a folder: files under their temporary names. Whoever holds the folder's lock removes
 * them: no living process writes there. Only names that this program makes are taken for such.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileError } from "./file-error.ts";

/** `<name>.<process>.tmp`, as `openAtomic` names them; the name is one of a kind of file that is written here. */
const LEFTOVER = /^.+\.(json|jsonl|safetensors|unfinished|state|md|model|yaml|html|jinja|txt|py|csv)\.\d{1,10}\.tmp$/;

/** Of a folder whose every name is the program's, or of the files there whose names begin so. */
export async function removeLeftovers(folder: string, prefix = ""): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      if (name.startsWith(prefix) && LEFTOVER.test(name)) await rm(join(folder, name), { force: true });
    }
  } catch (error) {
    throw fileError(folder, error);
  }
}
