/** Whether the output fits on its disk, asked before anything is written. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { failure } from "../errors.ts";

/** Room for everything that is not weights: tokenizer, config, record and index. */
const OTHER_FILES = 64e6;

/** Bytes left on the disk of `path`, which need not exist yet; undefined where the system does not say. */
export async function freeBytes(path: string): Promise<number | undefined> {
  for (let place = path; ; place = dirname(place)) {
    const found = await statfs(place).catch(() => undefined);
    if (found !== undefined) return found.bavail * found.bsize;
    if (dirname(place) === place) return undefined;
  }
}

/** Throws where the disk of `out` has not room for that many bytes of weights. */
export async function checkSpace(out: string, bytes: number): Promise<void> {
  const free = await freeBytes(out);
  const needed = bytes + OTHER_FILES;
  if (free === undefined || free >= needed) return;
  const [need, have] = [needed, free].map((count) => `${(count / 1e9).toFixed(1)} GB`);
  throw failure(out, `expected ${need} of free disk for the merged model, found ${have}; free some space`);
}
