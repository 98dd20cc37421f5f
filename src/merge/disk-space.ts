/** Whether the output fits on its disk, asked before anything is written. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { failure } from "../errors.ts";

/** Room for everything that is not weights: tokenizer, config, record and index. */
const OTHER_FILES = 64e6;

/** Throws where the disk of `out`, which need not exist yet, has not that many bytes left. */
export async function checkSpace(out: string, bytes: number): Promise<void> {
  let place = out;
  for (;;) {
    const found = await statfs(place).catch(() => undefined);
    if (found !== undefined) {
      const free = found.bavail * found.bsize;
      const needed = bytes + OTHER_FILES;
      if (free >= needed) return;
      const [need, have] = [needed, free].map((count) => `${(count / 1e9).toFixed(1)} GB`);
      throw failure(out, `expected ${need} of free disk for the merged model, found ${have}; free some space`);
    }
    if (dirname(place) === place) return;
    place = dirname(place);
  }
}
