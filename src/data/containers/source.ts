/** A file's bytes, decompressed where its name says so, chunk by chunk; and as text, where its first bytes are text. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { inputError, libraryReason } from "../../errors.ts";
import { fileError, readFully, refuseSpecial } from "../../formats/files.ts";
import { isLfsPointer, LFS_PREFIX_BYTES, LFS_PROBLEM } from "../../formats/git-lfs.ts";
import { COMPRESSIONS, type Compression } from "./compressions/index.ts";

export interface Source {
  readonly path: string;
  readonly compression: Compression | null;
  chunks(): AsyncIterable<Uint8Array>;
}

const CHUNK_BYTES = 1 << 16;
/** Text is handed on in smaller parts: records of two bytes are a hundred times as large, and are gone before the memory is looked through for them. */
const PART_BYTES = 1 << 13;

export function sourceOf(path: string): Source {
  const compression = compressionOf(path);
  return {
    path,
    compression,
    chunks: () => (compression === null ? bytesOf(path) : decompressed(path, compression)),
  };
}

export function compressionOf(path: string): Compression | null {
  const lower = path.toLowerCase();
  return COMPRESSIONS.find(({ suffixes }) => suffixes.some((suffix) => lower.endsWith(suffix))) ?? null;
}

/** The path without the suffix of its compression. */
export function uncompressedName(path: string): string {
  const suffix = compressionOf(path)?.suffixes.find((one) => path.toLowerCase().endsWith(one));
  return suffix === undefined ? path : path.slice(0, -suffix.length);
}

/** Whatever a file is called, where a repository was cloned without its large files another lies in its place. */
export async function refusePointer(path: string): Promise<void> {
  const head = Buffer.alloc(LFS_PREFIX_BYTES);
  try {
    await refuseSpecial(path);
    const file = await open(path);
    try {
      await readFully(file, head, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(path, error);
  }
  if (isLfsPointer(head.toString("latin1"))) throw inputError(path, LFS_PROBLEM);
}

async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw fileError(path, error);
  }
}

async function* decompressed(path: string, compression: Compression): AsyncGenerator<Uint8Array> {
  const chunks = bytesOf(path);
  try {
    yield* compression.decompress(chunks);
  } catch (error) {
    if (error instanceof Error && error.name === "FusechatError") throw error;
    const reason = libraryReason(error);
    throw inputError(path, `expected ${compression.name}, but it cannot be decompressed: ${reason}`, error);
  }
}

/** What the first bytes of other kinds of files are. */
const KINDS: readonly { readonly bytes: readonly number[]; readonly sentence: string }[] = [
  { bytes: [0xff, 0xfe], sentence: "expected UTF-8 text, found UTF-16; convert it: iconv -f UTF-16 -t UTF-8" },
  { bytes: [0xfe, 0xff], sentence: "expected UTF-8 text, found UTF-16; convert it: iconv -f UTF-16 -t UTF-8" },
  { bytes: [0x1f, 0x8b], sentence: "expected text, found gzip; end its name with .gz" },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], sentence: "expected text, found zstd; end its name with .zst" },
  { bytes: [0x50, 0x41, 0x52, 0x31], sentence: "expected text, found Parquet; end its name with .parquet" },
  { bytes: [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31], sentence: "expected text, found Arrow; end its name with .arrow" },
  { bytes: [0x50, 0x4b, 0x03, 0x04], sentence: "expected text, found a ZIP archive; unpack it first" },
];

const BYTE_ORDER_MARK = Uint8Array.of(0xef, 0xbb, 0xbf);

/** The bytes of a text file, without a byte order mark. What is no UTF-8 text by its first bytes is refused. */
export async function* textChunks(source: Source): AsyncGenerator<Uint8Array> {
  for await (const chunk of markless(source)) {
    for (let at = 0; at < chunk.length; at += PART_BYTES) yield chunk.subarray(at, at + PART_BYTES);
  }
}

async function* markless({ path, chunks }: Source): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | null = new Uint8Array();
  for await (const chunk of chunks()) {
    if (head === null) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < 8) continue;
    yield textStart(path, head);
    head = null;
  }
  if (head !== null && head.length > 0) yield textStart(path, head);
}

function textStart(path: string, head: Uint8Array): Uint8Array {
  const kind = KINDS.find(({ bytes }) => bytes.every((byte, index) => head[index] === byte));
  if (kind !== undefined) throw inputError(path, kind.sentence);
  // Without a byte order mark, ASCII in UTF-16 has a zero in every pair.
  if (
    head.length >= 4 &&
    (head[0] === 0) !== (head[1] === 0) &&
    (head[0] === 0) === (head[2] === 0) &&
    (head[1] === 0) === (head[3] === 0)
  ) {
    throw inputError(path, KINDS[0]!.sentence);
  }
  return BYTE_ORDER_MARK.every((byte, index) => head[index] === byte) ? head.subarray(3) : head;
}
