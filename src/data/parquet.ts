/** Rows of a Parquet file as plain objects, one row group at a time. */

import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { inputError } from "../errors.ts";
import { fileError } from "../formats/files.ts";

/** Yields every row. A file that is not Parquet, or is cut or damaged, is refused by name. */
export async function* readParquetRows(path: string): AsyncGenerator<Readonly<Record<string, unknown>>> {
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      yield* await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
      rowStart = rowEnd;
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && typeof error.code === "string") throw fileError(path, error);
    const reason = error instanceof Error ? error.message : String(error);
    throw inputError(path, `expected a Parquet file, but it cannot be read: ${reason}`, error);
  }
}
