/** Room on a disk, asked before anything is written. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";

/** Bytes left on the disk of `path`, which need not exist yet; undefined where the system does not say. */
export async function freeBytes(path: string): Promise<number | undefined> {
  for (let place = path; ; place = dirname(place)) {
    const found = await statfs(place).catch(() => undefined);
    if (found !== undefined) return found.bavail * found.bsize;
    if (dirname(place) === place) return undefined;
  }
}
