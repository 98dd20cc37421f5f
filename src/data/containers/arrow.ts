/**
 * Arrow IPC, as a stream or as a file: a file is a stream with eight bytes before it and an index behind it, so both
 * are read batch by batch, forwards.
 */
import { FusechatError, inputError } from "../../errors.ts";
import { foundRow } from "./column-values.ts";
import type { Container, Found } from "./container.ts";
import type { Source } from "./source.ts";

const MAGIC = Buffer.from("ARROW1");
const FILE_HEADER_BYTES = 8;

export const arrow: Container = {
  name: "Arrow",
  summary: "IPC stream or file, as `save_to_disk` of `datasets` writes it",
  suffixes: [".arrow"],
  records: arrowRows,
};

async function* arrowRows(source: Source): AsyncGenerator<Found> {
  const { RecordBatchReader } = await import("apache-arrow");
  let number = 0;
  try {
    const reader = await RecordBatchReader.from(streamOf(source));
    for await (const batch of reader) {
      for (let row = 0; row < batch.numRows; row++) {
        number += 1;
        yield foundRow(`: row ${number}`, batch.get(row));
      }
    }
  } catch (error) {
    if (error instanceof FusechatError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw inputError(source.path, `expected Arrow, but it cannot be read: ${reason}`, error);
  }
}

/** The stream within a file, or the stream itself. */
async function* streamOf({ chunks }: Source): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | null = new Uint8Array();
  for await (const chunk of chunks()) {
    if (head === null) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < FILE_HEADER_BYTES) continue;
    yield MAGIC.every((byte, index) => head![index] === byte) ? head.subarray(FILE_HEADER_BYTES) : head;
    head = null;
  }
  if (head !== null) yield head;
}
