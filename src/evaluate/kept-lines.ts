/**
 * What was paid for, kept: a JSONL file of values under keys that only grows. A line is on the disk before its value
 * counts as kept, so a kill or a power cut loses at most what was still on its way; a torn last line is dropped. In
 * memory there is a key and a place for each line, and no value.
 */

import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { inputError } from "../errors.ts";
import { exists, fileError, readFully } from "../formats/files.ts";
import { makeFolder } from "../formats/folders.ts";
import { type GrowingFile, openGrowing } from "../formats/growing-file.ts";
import { acquireLock, type Lock, removeDeadLock } from "../formats/lock.ts";
import { problemOf } from "../issue.ts";

export interface KeptLines<Value extends { readonly key: string }> {
  readonly path: string;
  readonly count: number;
  has(key: string): boolean;
  /** null where there is none. */
  get(key: string): Promise<Value | null>;
  /** Resolves once the line is flushed. The first one locks the file until `close`. */
  append(value: Value): Promise<void>;
  close(): Promise<void>;
}

interface Place {
  readonly offset: number;
  readonly length: number;
}

/** Bytes read at a time; a longer line is read as a whole. */
const READ_BYTES = 1 << 20;
const NEWLINE = 10;
const SPACE = 32;

/**
 * Reads the keys of what is there; nothing is written or locked before the first `append`. `what` names a line in
 * messages ("a judgment"). Of two lines with one key the first counts.
 */
export async function openKeptLines<Value extends { readonly key: string }>(
  path: string,
  schema: z.ZodType<Value>,
  what: string,
): Promise<KeptLines<Value>> {
  const places = new Map<string, Place>();
  /** Whole lines end here. */
  let end = 0;
  let lines = 0;
  const scan = async (): Promise<void> => {
    for await (const { offset, bytes } of wholeLines(path, end)) {
      end = offset + bytes.byteLength + 1;
      lines++;
      if (bytes.every((byte) => byte <= SPACE)) continue;
      const { key } = parseLine(bytes, keyed, `${path}:${lines}`, what);
      if (!places.has(key)) places.set(key, { offset, length: bytes.byteLength });
    }
  };
  await scan();
  // A process that was killed has left it, and this one may find all it needs and never write.
  await removeDeadLock(`${path}.lock`);

  let writer: Promise<{ readonly file: GrowingFile; readonly lock: Lock }> | undefined;
  const claim = async (): Promise<{ readonly file: GrowingFile; readonly lock: Lock }> => {
    await makeFolder(dirname(path));
    const lock = await acquireLock(`${path}.lock`, (holder) =>
      inputError(path, `process ${holder} is writing to it; wait for it, or use another folder`),
    );
    try {
      // Another process may have added lines since they were read, and then have gone.
      await scan();
      return { file: await openGrowing(path, end), lock };
    } catch (error) {
      await lock.release();
      throw error;
    }
  };

  // Lines that come while others are being flushed go to the disk together.
  let waiting: { readonly text: string; readonly key: string }[] = [];
  let flushing: Promise<void> | undefined;
  const flush = async (): Promise<void> => {
    writer ??= claim();
    const { file } = await writer;
    const batch = waiting;
    waiting = [];
    flushing = undefined;
    let offset = await file.append(batch.map(({ text }) => text).join(""));
    await file.sync();
    for (const { text, key } of batch) {
      const length = Buffer.byteLength(text, "utf8") - 1;
      if (!places.has(key)) places.set(key, { offset, length });
      offset += length + 1;
      lines++;
    }
    end = offset;
  };
  let tail: Promise<void> = Promise.resolve();

  let reader: Promise<FileHandle> | undefined;
  const read = async ({ offset, length }: Place): Promise<Uint8Array> => {
    const bytes = new Uint8Array(length);
    try {
      reader ??= open(path, "r");
      await readFully(await reader, bytes, offset);
    } catch (error) {
      throw fileError(path, error);
    }
    return bytes;
  };

  return {
    path,
    get count() {
      return places.size;
    },
    has: (key) => places.has(key),
    get: async (key) => {
      const place = places.get(key);
      if (place === undefined) return null;
      return parseLine(await read(place), schema, path, what);
    },
    append: async (value) => {
      waiting.push({ text: `${JSON.stringify(value)}\n`, key: value.key });
      if (flushing === undefined) {
        flushing = tail.then(flush);
        tail = flushing.catch(() => {});
      }
      await flushing;
    },
    close: async () => {
      await tail;
      const [reading, writing] = [reader, writer];
      [reader, writer] = [undefined, undefined];
      await (await reading?.catch(() => undefined))?.close();
      const claimed = await writing?.catch(() => undefined);
      await claimed?.file.close();
      await claimed?.lock.release();
    },
  };
}

const keyed: z.ZodType<{ readonly key: string }> = z.looseObject({ key: z.string() });

function parseLine<T>(bytes: Uint8Array, schema: z.ZodType<T>, where: string, what: string): T {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw inputError(where, `expected ${what} in JSON and UTF-8, found something else; remove this line`, error);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw inputError(
    where,
    `expected ${what}, found ${issue?.path.join(".") || "a line"} wrong (${issue === undefined ? "shape" : problemOf(issue)})`,
  );
}

/** Lines that end with a newline, from a byte offset on. What follows the last newline is torn, and left out. */
async function* wholeLines(path: string, from: number): AsyncGenerator<{ offset: number; bytes: Uint8Array }> {
  if (!(await exists(path))) return;
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    let buffer = new Uint8Array(READ_BYTES);
    let offset = from;
    for (;;) {
      const count = await readFully(handle, buffer, offset);
      let start = 0;
      for (;;) {
        const newline = buffer.subarray(0, count).indexOf(NEWLINE, start);
        if (newline < 0) break;
        yield { offset: offset + start, bytes: buffer.subarray(start, newline) };
        start = newline + 1;
      }
      if (count < buffer.byteLength) return;
      offset += start;
      if (start === 0) buffer = new Uint8Array(2 * buffer.byteLength);
    }
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await handle?.close();
  }
}
