/**
 * A file that only grows, and of which nothing that was said to be written is ever lost or torn. An append that fails
 * half-way (a full disk) leaves the file as it was, so that the next one follows the last whole one. A flush that fails
 * is final: the operating system tells such an error once and forgets the bytes, so every later call fails with it too.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { FusechatError } from "../errors.ts";
import { fileError } from "./file-error.ts";
import { readFully, refuseSpecialTarget, writeFully } from "./files.ts";
import { syncFolder } from "./folders.ts";

export interface GrowingFile {
  /** Writes at the end; returns the byte at which what was written begins. One call at a time. */
  append(what: string | Uint8Array): Promise<number>;
  /** Flushes to the disk all that was appended. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Bytes looked at together where the last line feed is sought. */
const TAIL_BYTES = 1 << 16;
const LINE_FEED = 10;

/** Opens or makes a file. Of what is there the first `length` bytes are kept; without a number, the whole lines. */
export async function openGrowing(path: string, length?: number): Promise<GrowingFile> {
  let handle: FileHandle | undefined;
  let end: number;
  try {
    await refuseSpecialTarget(path);
    // Not for appending: that writes behind what a failed append has left.
    handle = await open(path, constants.O_RDWR | constants.O_CREAT);
    const { size } = await handle.stat();
    end = Math.min(length ?? (await wholeLines(handle, size)), size);
    if (end < size) await handle.truncate(end);
    if (size === 0) await syncFolder(dirname(path));
  } catch (error) {
    await handle?.close();
    throw fileError(path, error);
  }
  return growingFile(path, handle, end);
}

function growingFile(path: string, handle: FileHandle, length: number): GrowingFile {
  let end = length;
  let flushed = length;
  let torn = false;
  let lost: FusechatError | undefined;
  const mend = async (): Promise<void> => {
    if (torn) await handle.truncate(end);
    torn = false;
  };
  return {
    append: async (what) => {
      if (lost !== undefined) throw lost;
      const bytes = typeof what === "string" ? Buffer.from(what, "utf8") : what;
      try {
        await mend();
        torn = true;
        await writeFully(handle, bytes, end);
        torn = false;
      } catch (error) {
        // Where even this fails, the next append tries again.
        await mend().catch(() => {});
        throw fileError(path, error);
      }
      end += bytes.byteLength;
      return end - bytes.byteLength;
    },
    sync: async () => {
      if (lost !== undefined) throw lost;
      try {
        await handle.datasync();
        flushed = end;
      } catch (error) {
        lost = fileError(path, error);
        // What may be holes on the disk is no longer spoken of.
        await handle.truncate(flushed).catch(() => {});
        throw lost;
      }
    },
    close: () => handle.close(),
  };
}

/** The length of a file up to and with its last line feed. */
async function wholeLines(handle: FileHandle, size: number): Promise<number> {
  const tail = new Uint8Array(TAIL_BYTES);
  for (let end = size; end > 0; ) {
    const begin = Math.max(0, end - TAIL_BYTES);
    const found = tail
      .subarray(0, await readFully(handle, tail.subarray(0, end - begin), begin))
      .lastIndexOf(LINE_FEED);
    if (found >= 0) return begin + found + 1;
    end = begin;
  }
  return 0;
}
