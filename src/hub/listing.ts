/**
 * What a model of the Hub holds at one commit: every file with its size and the hash of its content. The list comes from
 * outside; a file counts only with a size and a hash to hold it against.
 */
import type { ListFileEntry } from "@huggingface/hub";
import { FusechatError, failure } from "../errors.ts";
import { type HubConnection, Unavailable } from "./connection.ts";
import { type HubId, isCommit, printHubId } from "./id.ts";
import { smallFetch } from "./request.ts";

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
/** The Hub puts a thousand files on one. */
const MOST_PAGES = 300;

/** The commit that a revision stands for now. */
export async function commitOf(connection: HubConnection, id: HubId): Promise<string> {
  if (isCommit(id.revision)) return id.revision;
  const { modelInfo } = await import("@huggingface/hub");
  const what = printHubId(id);
  return understood(connection, what, async () => {
    const name = { name: id.repo, revision: id.revision };
    const { sha } = await modelInfo({ ...routesOf(connection, what), ...name, additionalFields: ["sha"] });
    if (!isCommit(sha)) throw new TypeError(`${String(sha)} is no commit`);
    return sha;
  });
}

export async function listFiles(connection: HubConnection, repo: string, commit: string): Promise<RemoteModel> {
  const hub = await import("@huggingface/hub");
  const { host } = connection.settings;
  const files = new Map<string, RemoteFile>();
  const tooMany = (): FusechatError => failure(repo, `${host} lists more than ${MOST_FILES} files`);
  const { hubUrl, fetch: fetchPage } = routesOf(connection, repo);
  let pages = 0;
  const routes = {
    hubUrl,
    fetch: (...request: Parameters<typeof fetch>) => {
      // Pages may be empty, and then there is no end of them.
      if (++pages > MOST_PAGES) throw tooMany();
      return fetchPage(...request);
    },
  };
  await understood(connection, repo, async () => {
    const about = { repo: { type: "model", name: repo }, revision: commit, recursive: true } as const;
    let count = 0;
    for await (const entry of hub.listFiles({ ...routes, ...about })) {
      if (++count > MOST_FILES) throw tooMany();
      if (entry.type === "file") files.set(entry.path, checkedFile(entry, repo, host));
    }
  });
  return { repo, commit, files };
}

/** An entry of the list as it comes, which may be anything. */
function checkedFile({ path, size, oid, lfs }: ListFileEntry, repo: string, host: string): RemoteFile {
  const isLarge = lfs !== undefined && lfs !== null;
  const hash: unknown = isLarge ? lfs.oid : oid;
  const isSound = typeof path === "string" && Number.isSafeInteger(size) && size >= 0;
  if (isSound && typeof hash === "string" && (isLarge ? SHA256 : SHA1).test(hash)) return { path, size, hash };
  throw failure(repo, `${host} lists ${JSON.stringify(path)} without a size and a hash to hold it against`);
}

const SHA1 = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** Work with replies of the Hub; what cannot be read in them is told as what it is. */
export async function understood<T>(connection: HubConnection, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FusechatError || error instanceof Unavailable) throw error;
    const { host } = connection.settings;
    throw failure(what, `${host} answers otherwise than the Hub does; is HF_ENDPOINT the address of one?`, error);
  }
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
