/** Files of a model of the Hub into the cache, several at a time; what comes is told first, and how far it is. */
import { join } from "node:path";
import { failure } from "../errors.ts";
import { freeBytes } from "../formats/free-disk.ts";
import { type BlobListener, fetchBlob, unfinishedPath } from "../hub/blob.ts";
import { blobPath, enter, keepCommit, type ModelCache, sizeOf, snapshotFolder } from "../hub/cache.ts";
import { type HubConnection, orFailure } from "../hub/connection.ts";
import { printHubId } from "../hub/id.ts";
import type { RemoteFile, RemoteModel } from "../hub/listing.ts";
import type { Reporter } from "../reporter.ts";
import type { FoundModel } from "./hub-lookup.ts";

/** What has come so far, for an estimate of what else will take. */
export interface Transferred {
  bytes: number;
  seconds: number;
}

export interface Transfer {
  readonly connection: HubConnection;
  readonly reporter: Reporter;
  readonly transferred: Transferred;
}

/** Files, and headers, that come at a time. */
const AT_ONCE = 4;
/** Links, folders and references. */
const OTHER_BYTES = 16e6;

/** Brings those files that are not in the snapshot yet; `kind` says of what sort they are. */
export async function bring(
  { connection, reporter, transferred }: Transfer,
  { id, commit, cache, remote }: FoundModel & { readonly remote: RemoteModel },
  files: readonly RemoteFile[],
  kind: string,
): Promise<void> {
  if (files.length === 0) return;
  const { host, cache: place } = connection.settings;
  const missing = await absentOf(cache, commit, files);
  if (missing.length === 0) {
    // A cache that this user may only read is right all the same.
    await keepCommit(cache, id, commit).catch(() => {});
    return;
  }
  await keepCommit(cache, id, commit);
  const stage = `fetch ${id.repo}`;
  let total = await bytesToCome(cache, missing);
  await checkSpace(place, total);
  reporter.report({
    type: "end",
    stage: "fetch",
    summary: `${id.repo}@${commit.slice(0, 12)}: ${sizeText(total)} in ${missing.length} ${missing.length === 1 ? "file" : "files"} (${kind}) from ${host} into ${place}`,
    figures: { model: `${id.repo}@${commit}`, files: missing.length, bytes: total, from: host, into: place },
  });
  reporter.report({ type: "start", stage, total: tenths(total), unit: "MB" });
  const startedAt = performance.now();
  let done = 0;
  const listenerOf = ({ path }: RemoteFile): BlobListener => ({
    arrived: (bytes) => {
      done += bytes;
      transferred.bytes += bytes;
      reporter.report({ type: "progress", stage, done: tenths(done), total: tenths(total), unit: "MB" });
    },
    lost: (bytes) => {
      total += bytes;
    },
    waiting: (who) => {
      reporter.report({ type: "warning", stage, message: `${path}: ${who} is fetching it; waiting for that` });
    },
  });
  try {
    await orFailure(connection, printHubId(id), notGiven, () =>
      eachOf(missing, async (file) => {
        await fetchBlob(connection, cache, remote, file, listenerOf(file));
        await enter(cache, commit, file.path, file.hash);
      }),
    );
  } finally {
    transferred.seconds += (performance.now() - startedAt) / 1000;
  }
  const rate = done / ((performance.now() - startedAt) / 1000);
  reporter.report({ type: "end", stage, summary: `${sizeText(done)}, ${sizeText(rate)} a second` });
}

export const notGiven = (message: string): string =>
  `does not give it: ${message}; what has come is kept, run the same command again`;

/** Throws where the disk of a cache has not room for that many bytes. */
export async function checkSpace(place: string, bytes: number): Promise<void> {
  const free = await freeBytes(place);
  const needed = bytes + OTHER_BYTES;
  if (free === undefined || free >= needed) return;
  const problem = `expected ${sizeText(needed)} of free disk, found ${sizeText(free)}; free some, or set HF_HUB_CACHE`;
  throw failure(place, problem);
}

/** Files that are not in the snapshot with the size that is listed: a link to nothing is no file. */
export async function absentOf(
  cache: ModelCache,
  commit: string,
  files: readonly RemoteFile[],
): Promise<readonly RemoteFile[]> {
  const absent: RemoteFile[] = [];
  for (const file of files) {
    const size = await sizeOf(join(snapshotFolder(cache, commit), file.path));
    if (size !== file.size) absent.push(file);
  }
  return absent;
}

/** Bytes that have not come yet of files that are not whole. */
export async function bytesToCome(cache: ModelCache, files: readonly RemoteFile[]): Promise<number> {
  let total = 0;
  for (const { hash, size } of files) {
    if ((await sizeOf(blobPath(cache, hash))) === size) continue;
    const begun = (await sizeOf(unfinishedPath(cache, hash))) ?? 0;
    total += begun <= size ? size - begun : size;
  }
  return total;
}

/** Work on several at once. The first error ends it, once what is under way has ended. */
export async function eachOf<T>(list: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...list];
  const errors: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined && errors.length === 0; item = queue.shift()) {
      await work(item).catch((error: unknown) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, list.length) }, worker));
  if (errors.length > 0) throw errors[0];
}

/** Megabytes, by tenths, never less than there are. */
function tenths(bytes: number): number {
  return Math.ceil(bytes / 1e5) / 10;
}

export function sizeText(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}
