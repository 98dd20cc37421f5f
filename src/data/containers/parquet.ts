/** Parquet, one row group at a time. */
import { open, stat } from "node:fs/promises";
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type SchemaTree,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { FusechatError, inputError, libraryReason } from "../../errors.ts";
import { fileError, readFully } from "../../formats/files.ts";
import { foundRow } from "./column-values.ts";
import type { Container, Found } from "./container.ts";
import type { Source } from "./source.ts";

/** Rows of one group, which are held together; usual are a thousand to a million. */
const MOST_ROWS = 1 << 24;

/** Parquet is read from its end, so what is compressed once more has to be held. */
const LARGEST_HELD_BYTES = 1 << 30;

export const parquet: Container = {
  name: "Parquet",
  summary: "a row a record; texts, lists and structs, or JSON in texts",
  suffixes: [".parquet"],
  isForeign: true,
  records: parquetRows,
};

/** A file that is not Parquet, or is cut or damaged, is refused by name. */
async function* parquetRows(source: Source): AsyncGenerator<readonly Found[]> {
  const { path } = source;
  try {
    const file = source.compression === null ? await fileBuffer(path) : await held(source);
    const metadata = await parquetMetadataAsync(file);
    checkColumns(metadata);
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      if (!(rowEnd - rowStart <= MOST_ROWS)) throw new Error(`it says that a group has ${group.num_rows} rows`);
      for (const row of await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd })) {
        rowStart += 1;
        yield [foundRow(`: row ${rowStart}`, row)];
      }
      rowStart = rowEnd;
    }
  } catch (error) {
    if (error instanceof FusechatError) throw error;
    throw inputError(path, `expected a Parquet file, but it cannot be read: ${libraryReason(error)}`, error);
  }
}

/**
 * Every row group has the leaves of the schema, each once. Others the library would read for nobody: lost where they are
 * whole, and an error that nobody catches where they are damaged.
 */
function checkColumns(metadata: FileMetaData): void {
  const expected = leavesOf(parquetSchema(metadata));
  for (const { columns } of metadata.row_groups) {
    const found = columns.map(({ meta_data: column }) => JSON.stringify(column?.path_in_schema));
    const isSame = found.length === expected.size && found.every((path) => expected.has(path));
    if (!isSame || new Set(found).size < found.length) throw new Error("its columns are not those of its schema");
  }
}

function leavesOf(schema: SchemaTree): ReadonlySet<string> {
  const leaves = new Set<string>();
  const open = [...schema.children];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.children.length === 0) leaves.add(JSON.stringify(next.path));
    for (const child of next.children) open.push(child);
  }
  return leaves;
}

async function fileBuffer(path: string): Promise<AsyncBuffer> {
  // Errors of the disk are told here, where they are known to be: those of decompression have codes too.
  const onDisk = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw fileError(path, error);
    }
  };
  const { size } = await onDisk(stat(path));
  return bufferOf(size, async (start, end) => {
    const bytes = new Uint8Array(end - start);
    const handle = await onDisk(open(path));
    try {
      const read = await onDisk(readFully(handle, bytes, start));
      if (read < bytes.length) throw new Error("it ends too early");
    } finally {
      await handle.close();
    }
    return bytes.buffer;
  });
}

/**
 * The library asks for whatever the file's own numbers say, and for several parts at once: where one of them fails it
 * may leave the others unawaited, and an error that nobody awaits would end the program.
 */
function bufferOf(size: number, read: (start: number, end: number) => Promise<ArrayBuffer>): AsyncBuffer {
  return {
    byteLength: size,
    slice: (start, end = size) => {
      const part = checkRange(start, end, size).then(() => read(start, end));
      part.catch(() => {});
      return part;
    },
  };
}

async function checkRange(start: number, end: number, size: number): Promise<void> {
  const isWithin =
    Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= size;
  if (!isWithin) throw new Error(`it speaks of bytes ${start} to ${end}, and has ${size}`);
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
  const all = new Uint8Array(Buffer.concat(chunks));
  return bufferOf(length, async (start, end) => all.buffer.slice(start, end));
}
