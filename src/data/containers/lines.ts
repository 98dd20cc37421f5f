/** A text file as lines, a bounded part of it in memory at a time. */
import type { Problem } from "../irregular.ts";
import { type Source, textChunks } from "./source.ts";

/** No conversation is longer: a line or an item of more bytes is refused without being held. */
export const LONGEST_RECORD_BYTES: number = 1 << 26;

/** What is said of a longer one. */
export const TOO_LONG: Problem = {
  reason: "that are too long",
  sentence: `expected a record of at most ${LONGEST_RECORD_BYTES} bytes, found more`,
};

/** The lines as bytes, without their ends, those that end in a chunk together; null for one that is too long. */
export async function* linesOf(
  source: Source,
  longest: number = LONGEST_RECORD_BYTES,
): AsyncGenerator<readonly (Uint8Array | null)[]> {
  let open: Uint8Array[] = [];
  let length = 0;
  const close = (): Uint8Array | null => {
    const line = length > longest ? null : open.length === 1 ? open[0]! : Buffer.concat(open);
    open = [];
    length = 0;
    return line;
  };
  const add = (part: Uint8Array): void => {
    length += part.length;
    if (length <= longest) open.push(part);
    else open = [];
  };
  for await (const chunk of textChunks(source)) {
    const lines: (Uint8Array | null)[] = [];
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      add(chunk.subarray(start, end));
      lines.push(close());
      start = end + 1;
    }
    if (start < chunk.length) add(chunk.subarray(start));
    yield lines;
  }
  if (length > 0) yield [close()];
}
