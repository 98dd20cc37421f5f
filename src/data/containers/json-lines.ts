/** JSON Lines: one record a line. Empty lines are none. */
import type { Container, Found } from "./container.ts";
import { foundJson } from "./json-value.ts";
import { linesOf } from "./lines.ts";
import type { Source } from "./source.ts";

export const jsonLines: Container = {
  name: "JSON Lines",
  summary: "one JSON object a line; empty lines are none",
  suffixes: [".jsonl", ".ndjson"],
  records: jsonLineRecords,
};

export async function* jsonLineRecords(source: Source): AsyncGenerator<readonly Found[]> {
  let number = 0;
  for await (const lines of linesOf(source)) {
    const found: Found[] = [];
    for (const line of lines) {
      number += 1;
      if (line === null || !line.every(isWhite)) found.push(foundJson(`:${number}`, line));
    }
    yield found;
  }
}

function isWhite(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a;
}
