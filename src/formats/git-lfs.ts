/**
 * Pointers of git-lfs: where a repository was cloned without its large files, three lines of text lie in their places,
 * under their names.
 */

const FIRST_LINE = "version https://git-lfs.github.com/spec/";

/** Bytes of a file that tell. */
export const LFS_PREFIX_BYTES: number = FIRST_LINE.length;

export const LFS_PROBLEM =
  "a pointer of git-lfs lies here, not the file itself; fetch it with git lfs pull, or download it";

/** True where a file that begins like this is a pointer. */
export function isLfsPointer(beginning: string): boolean {
  return beginning.startsWith(FIRST_LINE);
}
