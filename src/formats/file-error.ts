/** What the operating system says of a file, as one sentence that names the file. */

import { FusechatError, failure, inputError, reasonOf } from "../errors.ts";
import { type Table, tableOf } from "../table.ts";

/** What the operating system's codes mean to the user, and whether the input or the machine is to blame. */
const SYSTEM_ERRORS: Table<{ readonly input: boolean; readonly problem: string }> = tableOf({
  ENOENT: { input: true, problem: "no such file or folder" },
  EEXIST: { input: true, problem: "a part of this path is a file, not a folder" },
  ENOTDIR: { input: true, problem: "a part of this path is a file, not a folder" },
  EISDIR: { input: true, problem: "expected a file, found a folder" },
  EACCES: { input: true, problem: "permission denied" },
  EPERM: { input: true, problem: "permission denied" },
  EROFS: { input: true, problem: "the file system is read-only" },
  EBUSY: { input: true, problem: "it is in use, perhaps as a mount point; choose a folder within it, or another" },
  ELOOP: { input: true, problem: "symbolic links on this path lead in a circle" },
  ENAMETOOLONG: { input: true, problem: "the name is too long for this file system" },
  ENOSPC: { input: false, problem: "the disk is full; free some space and run the same command again" },
  EDQUOT: { input: false, problem: "the disk quota is used up; free some space and run the same command again" },
  EFBIG: { input: false, problem: "the file would exceed the size limit of this process or file system" },
  EMFILE: { input: false, problem: "too many open files" },
  EIO: { input: false, problem: "the disk could not be read or written" },
});

/** The sentence for an error that reading or writing `path` threw. Errors that are ours already pass unchanged. */
export function fileError(path: string, error: unknown): FusechatError {
  if (error instanceof FusechatError) return error;
  const code = systemCode(error);
  const known = Object.hasOwn(SYSTEM_ERRORS, code) ? SYSTEM_ERRORS[code] : undefined;
  if (known !== undefined) return (known.input ? inputError : failure)(path, known.problem, error);
  return failure(path, reasonOf(error), error);
}

/** The operating system's code of an error, such as `ENOENT`; empty where it has none. */
export function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
