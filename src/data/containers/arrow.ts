/**
 * Arrow IPC, as a stream or as a file: a file is a stream with eight bytes before it and an index behind it, so both
 * are read batch by batch, forwards.
 */
import { FusechatError, inputError, libraryReason } from "../../errors.ts";
import { foundRow } from "./column-values.ts";
import type { Container, Found } from "./container.ts";
import type { Source } from "./source.ts";

const MAGIC = Buffer.from("ARROW1");
const FILE_HEADER_BYTES = 8;

/** What a stream ends with. */
const END = Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

export const arrow: Container = {
  name: "Arrow",
  summary: "IPC stream or file, as `save_to_disk` of `datasets` writes it",
  suffixes: [".arrow"],
  isForeign: true,
  records: arrowRows,
};

async function* arrowRows(source: Source): AsyncGenerator<readonly Found[]> {
  const { RecordBatchReader } = await import("apache-arrow");
  let number = 0;
  const read = { bytes: 0 };
  try {
    const reader = await RecordBatchReader.from(streamOf(source, read));
    for await (const batch of reader) {
      // Every row has its place in the offsets of its texts.
      if (batch.numRows > read.bytes) throw new Error(`it says that ${read.bytes} bytes hold ${batch.numRows} rows`);
      for (let row = 0; row < batch.numRows; row++) {
        number += 1;
        yield [foundRow(`: row ${number}`, batch.get(row))];
      }
    }
  } catch (error) {
    if (error instanceof FusechatError) throw error;
    const reason = libraryReason(error);
    throw inputError(source.path, `expected Arrow, but it cannot be read: ${reason}`, error);
  }
}

/** The stream within a file, or the stream itself, whose end is looked at: cut off between two batches it would look whole. */
async function* streamOf({ chunks }: Source, read: { bytes: number }): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | null = Buffer.alloc(0);
  let isFile = false;
  let tail: Uint8Array = Buffer.alloc(0);
  for await (const chunk of chunks()) {
    read.bytes += chunk.length;
    tail = Buffer.concat([tail, chunk.subarray(-END.length)]).subarray(-END.length);
    if (head === null) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < FILE_HEADER_BYTES) continue;
    isFile = MAGIC.equals(head.subarray(0, MAGIC.length));
    yield isFile ? head.subarray(FILE_HEADER_BYTES) : head;
    head = null;
  }
  if (head !== null) throw new Error("it is too short");
  const isWhole = isFile ? MAGIC.equals(tail.subarray(-MAGIC.length)) : END.equals(tail);
  if (!isWhole) throw new Error("it does not end as it should; it was cut off");
}
