/**
 * A folder that a verb writes to, and that may hold nothing but what such a verb writes: what is there beside that is
 * somebody's, and would be mixed with, or overwritten by, what comes.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { systemCode } from "./file-error.ts";
import { fileError, isTemporary } from "./files.ts";
import { removeLeftovers } from "./leftovers.ts";
import { LOCK_FILE, type Lock, lockFolder } from "./lock.ts";

/** Refuses a folder with an entry that is not one of the program's own. */
export async function refuseForeign(folder: string, isOwn: (name: string) => boolean): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw fileError(folder, error);
  }
  const other = names.sort().find((name) => !isOwn(name) && !name.startsWith(LOCK_FILE) && !isTemporary(name));
  if (other !== undefined) {
    throw inputError(folder, `exists and holds ${other}, but nothing of this program; choose another folder`);
  }
}

/** Locks such a folder; what killed processes were writing there and in its folders goes. */
export async function lockOwnFolder(folder: string, isOwn: (name: string) => boolean): Promise<Lock> {
  await refuseForeign(folder, isOwn);
  const lock = await lockFolder(folder);
  try {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) await removeLeftovers(join(entry.parentPath, entry.name));
    }
    return lock;
  } catch (error) {
    await lock.release();
    throw fileError(folder, error);
  }
}
