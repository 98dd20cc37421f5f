/** Parquet, one row group at a time. */
import { type AsyncBuffer, asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { FusechatError, inputError } from "../../errors.ts";
import { fileError } from "../../formats/files.ts";
import { foundRow } from "./column-values.ts";
import type { Container, Found } from "./container.ts";
import type { Source } from "./source.ts";

/** Parquet is read from its end, so what is compressed once more has to be held. */
const LARGEST_HELD_BYTES = 1 << 30;

export const parquet: Container = {
  name: "Parquet",
  summary: "a row a record; texts, lists and structs, or JSON in texts",
  suffixes: [".parquet"],
  records: parquetRows,
};

/** A file that is not Parquet, or is cut or damaged, is refused by name. */
async function* parquetRows(source: Source): AsyncGenerator<Found> {
  const { path } = source;
  try {
    const file = source.compression === null ? await asyncBufferFromFile(path) : await held(source);
    const metadata = await parquetMetadataAsync(file);
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      for (const row of await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd })) {
        rowStart += 1;
        yield foundRow(`: row ${rowStart}`, row);
      }
      rowStart = rowEnd;
    }
  } catch (error) {
    if (error instanceof FusechatError) throw error;
    if (error instanceof Error && "code" in error && typeof error.code === "string") throw fileError(path, error);
    const reason = error instanceof Error ? error.message : String(error);
    throw inputError(path, `expected a Parquet file, but it cannot be read: ${reason}`, error);
  }
}

async function held(source: Source): Promise<AsyncBuffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source.chunks()) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > LARGEST_HELD_BYTES) {
      throw inputError(source.path, `has more than ${LARGEST_HELD_BYTES} bytes when decompressed; decompress it first`);
    }
  }
  const all = Buffer.concat(chunks);
  return all.buffer.slice(all.byteOffset, all.byteOffset + all.byteLength) as ArrayBuffer;
}
