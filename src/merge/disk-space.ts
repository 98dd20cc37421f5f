/** Whether the output fits on its disk, asked before anything is written. */
import { failure } from "../errors.ts";
import { freeBytes } from "../formats/free-disk.ts";

/** Room for everything that is not weights: tokenizer, config, record and index. */
const OTHER_FILES = 64e6;

/** Throws where the disk of `out` has not room for that many bytes of weights. */
export async function checkSpace(out: string, bytes: number): Promise<void> {
  const free = await freeBytes(out);
  const needed = bytes + OTHER_FILES;
  if (free === undefined || free >= needed) return;
  const [need, have] = [needed, free].map((count) => `${(count / 1e9).toFixed(1)} GB`);
  throw failure(out, `expected ${need} of free disk for the merged model, found ${have}; free some space`);
}
