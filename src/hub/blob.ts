/**
 * One file of the Hub into the cache. What has come is kept under another name and gone on with after a kill or a cut
 * line; it becomes a blob only once its size and its hash are those of the list. Two processes do not fetch the same
 * file: the second waits, and finds it.
 */
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open as openFile } from "node:fs/promises";
import { dirname } from "node:path";
import { failure } from "../errors.ts";
import { fileError } from "../formats/file-error.ts";
import { readFully, writeFully } from "../formats/files.ts";
import { makeFolder, renameForGood } from "../formats/folders.ts";
import { blobPath, type ModelCache, sizeOf } from "./cache.ts";
import { type HubConnection, Unavailable } from "./connection.ts";
import { lockBlob } from "./fetch-lock.ts";
import { addressOf, type RemoteFile, type RemoteModel } from "./listing.ts";
import { patience } from "./patience.ts";
import { open } from "./request.ts";

/** Under which a file comes in: the name that Python's older releases go on from, too. */
export function unfinishedPath(cache: ModelCache, hash: string): string {
  return `${blobPath(cache, hash)}.incomplete`;
}

export interface BlobListener {
  /** More has come, of this file. */
  arrived(bytes: number): void;
  /** What had come is worth nothing and comes anew. */
  lost(bytes: number): void;
  /** Somebody else is at it. */
  waiting(who: string): void;
}

/** Returns once the blob is there, whoever fetched it. */
export async function fetchBlob(
  connection: HubConnection,
  cache: ModelCache,
  model: Pick<RemoteModel, "repo" | "commit">,
  file: RemoteFile,
  listener: BlobListener,
): Promise<void> {
  const path = blobPath(cache, file.hash);
  const unfinished = unfinishedPath(cache, file.hash);
  const isThere = async (): Promise<boolean> => (await sizeOf(path)) === file.size;
  if (await isThere()) return;
  await makeFolder(dirname(path));
  const lock = await lockBlob(
    cache,
    file.hash,
    async () => (await sizeOf(unfinished)) ?? 0,
    connection,
    listener.waiting,
  );
  try {
    if (await isThere()) return;
    let handle: FileHandle | undefined;
    try {
      handle = await openFile(unfinished, constants.O_RDWR | constants.O_CREAT);
      await complete(connection, model, file, handle, listener);
      await handle.datasync();
    } catch (error) {
      throw error instanceof Unavailable ? error : fileError(path, error);
    } finally {
      await handle?.close();
    }
    await renameForGood(unfinished, path);
  } finally {
    await lock.release();
  }
}

/** In a row, without a byte: a line that is down for a minute and a half is waited for. */
const MOST_ATTEMPTS = 8;

/** Fetches what an open file lacks, and again from its beginning where what was there turns out to be something else. */
async function complete(
  connection: HubConnection,
  { repo, commit }: Pick<RemoteModel, "repo" | "commit">,
  file: RemoteFile,
  handle: FileHandle,
  listener: BlobListener,
): Promise<void> {
  const what = `${repo}: ${file.path}`;
  const { host } = connection.settings;
  let { size: done } = await handle.stat();
  if (done > file.size) {
    await handle.truncate(0);
    listener.lost(done);
    done = 0;
  }
  const inherited = done > 0;
  let hash = newHash(file);
  await hashBeginning(handle, done, hash);
  const restart = async (): Promise<void> => {
    await handle.truncate(0);
    listener.lost(done);
    done = 0;
    hash = newHash(file);
  };
  const fetchRest = async (): Promise<void> => {
    const left = patience(connection, what, MOST_ATTEMPTS);
    while (done < file.size) {
      try {
        const headers: Record<string, string> = done === 0 ? {} : { range: `bytes=${done}-` };
        const reply = await open(connection, what, addressOf(connection, { repo, commit }, file.path), { headers });
        try {
          if (done > 0 && !goesOnAt(reply.headers, reply.status, done)) await restart();
          for await (const chunk of reply.chunks()) {
            if (done + chunk.byteLength > file.size) {
              await restart();
              throw failure(what, `${host} sends more than the ${file.size} bytes that it announced`);
            }
            await writeFully(handle, chunk, done);
            hash.update(chunk);
            done += chunk.byteLength;
            listener.arrived(chunk.byteLength);
            left.gained();
          }
        } finally {
          reply.close();
        }
        if (done < file.size) throw new Unavailable(`it ends after ${done} of ${file.size} bytes`);
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        await left.after(error);
      }
    }
  };
  await fetchRest();
  let found = hash.digest("hex");
  if (found !== file.hash && inherited) {
    // What an earlier process had left may have holes, as after a power cut.
    await restart();
    await fetchRest();
    found = hash.digest("hex");
  }
  if (found === file.hash) return;
  await restart();
  throw failure(
    what,
    `what ${host} sent is not what it announced: its hash is ${found}, expected ${file.hash}; nothing of it is kept`,
  );
}

/** Some servers take no ranges and begin anew, with status 200. */
function goesOnAt(headers: Headers, status: number, begin: number): boolean {
  return status === 206 && headers.get("content-range")?.startsWith(`bytes ${begin}-`) === true;
}

/** SHA-256 of large files; of others git's: SHA-1 over a header with the size, and the content. */
function newHash({ hash, size }: RemoteFile): Hash {
  return hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

const PIECE_BYTES = 1 << 22;

async function hashBeginning(handle: FileHandle, length: number, hash: Hash): Promise<void> {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, length));
  for (let position = 0; position < length; ) {
    const count = await readFully(handle, piece.subarray(0, Math.min(piece.length, length - position)), position);
    hash.update(piece.subarray(0, count));
    position += count;
  }
}
