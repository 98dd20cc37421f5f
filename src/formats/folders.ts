/**
 * Folders whose entries survive a power cut. A new name in a folder (a file just renamed into it, a folder just made) is
 * on the disk only once the folder itself is flushed.
 */
import { mkdir, open, rename, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { fileError, systemCode } from "./file-error.ts";

/** Where folders cannot be opened (Windows) or flushed (some network shares), the rename itself is all that can be had. */
const CANNOT_FLUSH = ["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF"];

/** Makes a folder and those that lead to it, where they are missing, and flushes what each is entered in. */
export async function makeFolder(path: string): Promise<void> {
  if (path === "") throw inputError("the folder to write to", "expected a name, found an empty one");
  try {
    for (const folder of await makeMissing(resolve(path))) await syncFolder(dirname(folder));
  } catch (error) {
    throw fileError(path, error);
  }
}

/**
 * The folders that it made, innermost first. Not by `recursive` of `mkdir`: on a read-only file system that says that the
 * folder around the missing one does not exist.
 */
async function makeMissing(folder: string): Promise<string[]> {
  try {
    await mkdir(folder);
    return [folder];
  } catch (error) {
    if (await isFolder(folder)) return [];
    if (systemCode(error) !== "ENOENT" || dirname(folder) === folder) throw error;
  }
  const around = await makeMissing(dirname(folder));
  await mkdir(folder).catch(async (error) => {
    // Another process may have been faster.
    if (!(await isFolder(folder))) throw error;
  });
  return [folder, ...around];
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Gives a file or folder another name, for good: the folders that it leaves and enters are flushed. */
export async function renameForGood(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    throw fileError(to, error);
  }
  await syncFolder(dirname(resolve(to)));
  if (dirname(resolve(from)) !== dirname(resolve(to))) await syncFolder(dirname(resolve(from)));
}

/** Flushes the entries of a folder. A disk that fails at it has lost them, which is an error. */
export async function syncFolder(folder: string): Promise<void> {
  const ifPossible = async <T>(work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work;
    } catch (error) {
      if (CANNOT_FLUSH.includes(systemCode(error))) return undefined;
      throw fileError(folder, error);
    }
  };
  const handle = await ifPossible(open(folder, "r"));
  try {
    if (handle !== undefined) await ifPossible(handle.sync());
  } finally {
    await handle?.close();
  }
}
