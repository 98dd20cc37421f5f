/**
 * The ordinary cache of Hugging Face, as Python's `huggingface_hub` keeps it: contents under their hashes in `blobs`, for
 * every commit a folder of links to them in `snapshots`, and in `refs` the commit of each branch and tag when it was last
 * asked for. What either program fetches the other finds.
 */
import { readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileError, systemCode } from "../formats/file-error.ts";
import { exists, readText, writeFileAtomic } from "../formats/files.ts";
import { makeFolder } from "../formats/folders.ts";
import { cacheName, type HubId, isCommit } from "./id.ts";

export interface ModelCache {
  /** `models--org--name` */
  readonly root: string;
  /** Of the locks of its blobs. */
  readonly locks: string;
}

export function modelCache(cache: string, repo: string): ModelCache {
  const name = cacheName(repo);
  return { root: join(cache, name), locks: join(cache, ".locks", name) };
}

export function snapshotFolder({ root }: ModelCache, commit: string): string {
  return join(root, "snapshots", commit);
}

export function blobPath({ root }: ModelCache, hash: string): string {
  return join(root, "blobs", hash);
}

/** The commit that the cache knows for a revision; undefined where it has never been asked for. */
export async function cachedCommit({ root }: ModelCache, { revision }: HubId): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const path = join(root, "refs", revision);
  if (!(await exists(path))) return undefined;
  const commit = (await readText(path)).trim();
  return isCommit(commit) ? commit : undefined;
}

/** Notes the commit of a branch or tag. Its folder is made first: a reference to none would spoil the cache for Python. */
export async function keepCommit(cache: ModelCache, { revision }: HubId, commit: string): Promise<void> {
  await makeFolder(snapshotFolder(cache, commit));
  if (isCommit(revision) || (await cachedCommit(cache, { repo: "", revision })) === commit) return;
  await writeFileAtomic(join(cache.root, "refs", revision), commit);
}

/** True where the snapshot of a commit has a file. */
export function isInSnapshot(cache: ModelCache, commit: string, path: string): Promise<boolean> {
  return exists(join(snapshotFolder(cache, commit), path));
}

/** Bytes of a file; undefined where there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error))) return undefined;
    throw fileError(path, error);
  }
}

/** Systems and disks that have no links. */
const NO_LINKS = ["EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "UNKNOWN"];

/** Enters a blob in the snapshot of a commit; where there are no links it moves there, as Python has it. */
export async function enter(cache: ModelCache, commit: string, path: string, hash: string): Promise<void> {
  const place = join(snapshotFolder(cache, commit), path);
  const blob = blobPath(cache, hash);
  await makeFolder(dirname(place));
  const target = relative(dirname(place), blob);
  try {
    if ((await readlink(place).catch(() => undefined)) === target) return;
    // A link to nothing, or a file that was fetched where there were no links.
    await rm(place, { force: true });
    await symlink(target, place);
  } catch (error) {
    const code = systemCode(error);
    // Another process was quicker.
    if (code === "EEXIST") return;
    if (!NO_LINKS.includes(code)) throw fileError(place, error);
    await rename(blob, place).catch((cause: unknown) => {
      throw fileError(place, cause);
    });
  }
}
