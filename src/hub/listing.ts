/**
 * What a model of the Hub holds at one commit: every file with its size and the hash of its content. The list comes from
 * outside; a file counts only with a size and a hash to hold it against.
 */
import { failure } from "../errors.ts";
import { type HubId, isCommit, printHubId } from "./id.ts";
import { type HubConnection, smallFetch } from "./request.ts";

export interface RemoteFile {
  /** In the repository, with `/` between folders. */
  readonly path: string;
  readonly size: number;
  /** Of large files the SHA-256 of the content, of others git's hash of it: the name of the blob in the cache. */
  readonly hash: string;
}

export interface RemoteModel {
  readonly repo: string;
  readonly commit: string;
  readonly files: ReadonlyMap<string, RemoteFile>;
}

/** Models with every step of their training in folders have some ten thousand; a list without end has more. */
const MOST_FILES = 200_000;

/** The commit that a revision stands for now. */
export async function commitOf(connection: HubConnection, id: HubId): Promise<string> {
  if (isCommit(id.revision)) return id.revision;
  const { modelInfo } = await import("@huggingface/hub");
  const what = printHubId(id);
  const { sha } = await modelInfo({
    ...routesOf(connection, what),
    name: id.repo,
    revision: id.revision,
    additionalFields: ["sha"],
  });
  if (typeof sha === "string" && isCommit(sha)) return sha;
  throw failure(what, `${connection.settings.host} names no commit of it; is HF_ENDPOINT a server of the Hub?`);
}

export async function listFiles(connection: HubConnection, repo: string, commit: string): Promise<RemoteModel> {
  const hub = await import("@huggingface/hub");
  const { host } = connection.settings;
  const files = new Map<string, RemoteFile>();
  const entries = hub.listFiles({
    ...routesOf(connection, repo),
    repo: { type: "model", name: repo },
    revision: commit,
    recursive: true,
  });
  let count = 0;
  for await (const entry of entries) {
    if (++count > MOST_FILES) throw failure(repo, `${host} lists more than ${MOST_FILES} files`);
    if (entry?.type !== "file") continue;
    const { path, size, oid, lfs } = entry;
    const hash = lfs?.oid ?? oid;
    const isSound =
      typeof path === "string" &&
      Number.isSafeInteger(size) &&
      size >= 0 &&
      typeof hash === "string" &&
      (lfs === undefined ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/).test(hash);
    if (!isSound) throw failure(repo, `${host} lists ${JSON.stringify(path)} without a size and a hash that hold`);
    files.set(path, { path, size, hash });
  }
  return { repo, commit, files };
}

/** Routes that `@huggingface/hub` knows. It is given no token: the requests add it where it belongs. */
export function routesOf(connection: HubConnection, what: string): { hubUrl: string; fetch: typeof fetch } {
  return { hubUrl: connection.settings.endpoint, fetch: smallFetch(connection, what) };
}

/** Where the content of a file is. */
export function addressOf(
  { settings }: HubConnection,
  { repo, commit }: Pick<RemoteModel, "repo" | "commit">,
  path: string,
): string {
  return `${settings.endpoint}/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}
