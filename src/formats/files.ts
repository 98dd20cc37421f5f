/**
 * Reading and writing of files with nothing half-done: what is written goes to `<path>.<pid>.tmp`, is flushed to the
 * disk and renamed, and the folder is flushed too, so that a kill or a power cut at any moment leaves either the old
 * file or the whole new one. Errors of the operating system become one sentence that names the file.
 */
import { createHash } from "node:crypto";
import { access, type FileHandle, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { inputError, internalError } from "../errors.ts";
import { fileError } from "./file-error.ts";
import { makeFolder, syncFolder } from "./folders.ts";
import { isLfsPointer, LFS_PROBLEM } from "./git-lfs.ts";
import { BACKSLASH, CLOSE_ARRAY, CLOSE_OBJECT, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from "./json-bytes.ts";
import { type JsonValue, parseJsonDocument, plainJson, printJson } from "./json-document.ts";

export { fileError } from "./file-error.ts";

/** Pieces in which whole files are read: large enough for the disk, small enough not to count in memory. */
const CHUNK_BYTES = 1 << 22;

const BYTE_ORDER_MARK = "\ufeff";

/** True where a file or folder of this name can be seen. */
export async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

/** A whole text file. Bytes that are not UTF-8 are refused with their offset; a byte order mark is dropped. */
export async function readText(path: string): Promise<string> {
  const text = await readTextExactly(path);
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(BYTE_ORDER_MARK.length) : text;
}

/** A whole file as it is. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    await refuseSpecial(path);
    return await readFile(path);
  } catch (error) {
    throw fileError(path, error);
  }
}

/**
 * The same of a path that is to be written, where there is something: a device keeps nothing, and where a file is renamed to
 * its name it is gone for everybody.
 */
export async function refuseSpecialTarget(path: string): Promise<void> {
  if (await exists(path)) await refuseSpecial(path, "choose another");
}

/**
 * Refuses what is neither a file nor a folder, before it is opened: a pipe would be waited for, a device has no end. A
 * folder is told of by who reads it.
 */
export async function refuseSpecial(path: string, advice = "write what it gives into a file first"): Promise<void> {
  const found = await stat(path);
  if (found.isFile() || found.isDirectory()) return;
  const kind = found.isFIFO() ? "a pipe" : found.isSocket() ? "a socket" : "a device";
  throw inputError(path, `expected a file, found ${kind}; ${advice}`);
}

/** The same with the byte order mark, where it is a part of the text. */
export async function readTextExactly(path: string): Promise<string> {
  const bytes = await readBytes(path);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw inputError(path, `expected UTF-8 text, found other bytes at offset ${firstInvalidUtf8(bytes)}`, error);
  }
}

/** A whole JSON file, `NaN` and `Infinity` of Python's included; what is wrong with it is told with line and column. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  refuseDeep(path, text);
  try {
    return JSON.parse(text);
  } catch {
    return plainJson(documentOf(path, text));
  }
}

/** Lists and objects within each other: files of models have a handful, and much of what reads JSON recurses. */
export const DEEPEST_JSON = 500;

function refuseDeep(path: string, text: string): void {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const mark = text.charCodeAt(at);
    if (mark === QUOTE) {
      for (at += 1; at < text.length; at++) {
        const inner = text.charCodeAt(at);
        if (inner === QUOTE) break;
        if (inner === BACKSLASH) at += 1;
      }
    } else if (mark === OPEN_ARRAY || mark === OPEN_OBJECT) {
      depth += 1;
      if (depth <= DEEPEST_JSON) continue;
      throw inputError(path, `expected at most ${DEEPEST_JSON} lists and objects within each other, found more`);
    } else if (mark === CLOSE_ARRAY || mark === CLOSE_OBJECT) depth -= 1;
  }
}

/** A whole JSON file whose numbers stay as they are written. */
export async function readJsonDocument(path: string): Promise<JsonValue> {
  const text = await readText(path);
  refuseDeep(path, text);
  return documentOf(path, text);
}

function documentOf(path: string, text: string): JsonValue {
  const parsed = parseJsonDocument(text);
  if ("value" in parsed) return parsed.value;
  if (isLfsPointer(text)) throw inputError(path, LFS_PROBLEM);
  const position = parsed.errorAt;
  const before = text.slice(0, position);
  const line = before.split("\n").length;
  const column = position - before.lastIndexOf("\n");
  const found = position < text.length ? JSON.stringify(text[position]) : "the end of the file";
  throw inputError(`${path}:${line}:${column}`, `expected JSON, found ${found}`);
}

/** Two-space JSON and a newline, atomically. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** The same of a document, whose numbers stay as they were written. */
export async function writeJsonDocument(path: string, document: JsonValue): Promise<void> {
  await writeFileAtomic(path, `${printJson(document)}\n`);
}

/** Writes a whole file or nothing. */
export async function writeFileAtomic(path: string, data: Uint8Array | string): Promise<void> {
  const file = await openAtomic(path);
  try {
    await file.write(typeof data === "string" ? Buffer.from(data, "utf8") : data);
    await file.commit();
  } catch (error) {
    await file.abort();
    throw error;
  }
}

/** Copies a file's bytes or nothing: the copy appears under its name only once it is whole and flushed. */
export async function copyFileAtomic(from: string, to: string): Promise<void> {
  const source = await openForReading(from);
  try {
    const file = await openAtomic(to);
    try {
      for await (const chunk of chunksOf(from, source)) await file.write(chunk);
      await file.commit();
    } catch (error) {
      await file.abort();
      throw error;
    }
  } finally {
    await source.close();
  }
}

/** A file that appears under its name only at `commit`. Every one must end with `commit` or `abort`. */
export interface AtomicFile {
  readonly path: string;
  /** Appends at the end of what `write` has written so far. */
  write(chunk: Uint8Array): Promise<void>;
  /** Writes at a byte position of the file, and does not move the place where `write` appends. */
  writeAt(chunk: Uint8Array, position: number): Promise<void>;
  /** Flushes, renames and flushes the folder. */
  commit(): Promise<void>;
  /** Leaves nothing behind; harmless after `commit` or a second time. */
  abort(): Promise<void>;
}

/** Opens `<path>.<pid>.tmp` for writing, in a folder that is made where it is missing. */
export async function openAtomic(path: string): Promise<AtomicFile> {
  const temporary = temporaryName(path);
  let handle: FileHandle | undefined;
  await makeFolder(dirname(path));
  try {
    await refuseSpecialTarget(path);
    handle = await open(temporary, "w");
  } catch (error) {
    throw fileError(path, error);
  }
  let end = 0;
  const opened = (): FileHandle => {
    if (handle === undefined) throw internalError(`${path} was written after it was closed`);
    return handle;
  };
  const abort = async (): Promise<void> => {
    if (handle === undefined) return;
    const closing = handle;
    handle = undefined;
    await closing.close().catch(() => {});
    await rm(temporary, { force: true });
  };
  const orAbort = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      await abort();
      throw fileError(path, error);
    }
  };
  return {
    path,
    write: (chunk) =>
      orAbort(async () => {
        const position = end;
        end += chunk.byteLength;
        await writeFully(opened(), chunk, position);
      }),
    writeAt: (chunk, position) => orAbort(() => writeFully(opened(), chunk, position)),
    commit: () =>
      orAbort(async () => {
        await opened().sync();
        await opened().close();
        handle = undefined;
        try {
          await rename(temporary, path);
        } catch (error) {
          await rm(temporary, { force: true });
          throw error;
        }
        await syncFolder(dirname(path));
      }),
    abort,
  };
}

/** Reads `bytes.byteLength` bytes at a position. Ends early only where the file does; returns how many were read. */
export async function readFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < bytes.byteLength) {
    // A single read call is limited to 2^31 - 1 bytes.
    const length = Math.min(bytes.byteLength - done, 1 << 30);
    const { bytesRead } = await handle.read(bytes, done, length, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Lower-case hex SHA-256 of a file's bytes, read piece by piece. */
export async function sha256OfFile(path: string): Promise<string> {
  return sha256OfFiles([path]);
}

/** Lower-case hex SHA-256 of the bytes of several files, one after the other. */
export async function sha256OfFiles(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths) {
    const handle = await openForReading(path);
    try {
      for await (const chunk of chunksOf(path, handle)) hash.update(chunk);
    } finally {
      await handle.close();
    }
  }
  return hash.digest("hex");
}

/** Lower-case hex SHA-256 of `length` bytes of a file from `begin` on, or of those that there are. */
export async function sha256OfRange(path: string, begin: number, length: number): Promise<string> {
  const hash = createHash("sha256");
  const handle = await openForReading(path);
  try {
    for await (const chunk of chunksOf(path, handle, begin, begin + length)) hash.update(chunk);
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    await refuseSpecial(path);
    return await open(path, "r");
  } catch (error) {
    throw fileError(path, error);
  }
}

/** A file from `begin` to `end` or its own, piece by piece, in one buffer that is filled anew for each. */
async function* chunksOf(
  path: string,
  handle: FileHandle,
  begin = 0,
  end: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, end - begin));
  let position = begin;
  try {
    while (position < end) {
      const count = await readFully(handle, chunk.subarray(0, Math.min(chunk.length, end - position)), position);
      if (count === 0) return;
      position += count;
      yield chunk.subarray(0, count);
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Writes all of `bytes` at a position. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(bytes.byteLength - done, 1 << 30);
    const { bytesWritten } = await handle.write(bytes, done, length, position + done);
    done += bytesWritten;
  }
}

function temporaryName(path: string): string {
  return `${resolve(path)}.${process.pid}.tmp`;
}

/** True for the name of a file that was being written; in a locked folder, by a process that has ended. */
export function isTemporary(name: string): boolean {
  return /\.\d+\.tmp$/.test(name);
}

/** Offset of the byte at which decoding as UTF-8 fails. */
function firstInvalidUtf8(bytes: Uint8Array): number {
  let valid = 0;
  let invalid = bytes.byteLength;
  // A prefix is good where it decodes as the beginning of a stream: halve the range until one byte is left.
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >>> 1;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      valid = middle;
    } catch {
      invalid = middle;
    }
  }
  return valid;
}
