/**
 * A model folder to the Hub, as one commit: what is there already with the same content is not sent again, and files of a
 * model that was there before go with the same commit, so that the two are never mixed. Nothing of the repository changes
 * before all content has arrived.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import type { CommitOperation } from "@huggingface/hub";
import { failure, inputError } from "../errors.ts";
import { sha256OfFile } from "../formats/files.ts";
import type { HubConnection } from "./connection.ts";
import { FileContent } from "./file-content.ts";
import { DEFAULT_REVISION, type HubId } from "./id.ts";
import { listFiles, routesOf, understood } from "./listing.ts";
import { NoSuchModel } from "./refusal.ts";

export interface LocalFile {
  /** As it is called in the repository. */
  readonly path: string;
  /** On this disk. */
  readonly file: string;
}

export interface PushOptions {
  readonly repo: string;
  readonly files: readonly LocalFile[];
  /** Whether a repository that is not there yet is made for everybody to see. */
  readonly isPublic: boolean;
  /** Whether a model that is there already may be replaced. */
  readonly replace: boolean;
  /** Whether a file of the repository belongs to a model, and goes where the new one has none of its name. */
  belongsToModel(path: string): boolean;
}

export interface PushPlan {
  readonly repo: string;
  readonly url: string;
  readonly isNew: boolean;
  readonly isPrivate: boolean;
  /** The commit that is built on; undefined of a new repository. */
  readonly parent: string | undefined;
  readonly upload: readonly (LocalFile & { readonly bytes: number })[];
  /** Files that are there with the same content. */
  readonly same: readonly string[];
  readonly remove: readonly string[];
}

/** Looks up what there is to do; changes nothing. */
export async function planPush(connection: HubConnection, options: PushOptions): Promise<PushPlan> {
  const { repo, files, isPublic, replace, belongsToModel } = options;
  const { host, endpoint, offline, token } = connection.settings;
  if (offline) throw inputError(repo, "HF_HUB_OFFLINE is set, and nothing can be uploaded without a network");
  if (token === undefined)
    throw inputError(repo, `an upload to ${host} needs a token; set HF_TOKEN to one that may write`);
  const url = `${endpoint}/${repo}`;
  const sized = await Promise.all(files.map(async (file) => ({ ...file, bytes: (await stat(file.file)).size })));
  const there = await existing(connection, { repo, revision: DEFAULT_REVISION });
  if (there === null) {
    return { repo, url, isNew: true, isPrivate: !isPublic, parent: undefined, upload: sized, same: [], remove: [] };
  }
  const { commit, isPrivate } = there;
  if (!isPrivate && !isPublic) {
    throw inputError(
      repo,
      `${host} shows this repository to everybody; add --public if the model may be seen, or choose another name`,
    );
  }
  const listed = (await listFiles(connection, repo, commit)).files;
  const names = new Set(files.map(({ path }) => path));
  const remove = [...listed.keys()].filter((path) => belongsToModel(path) && !names.has(path));
  const upload: (LocalFile & { bytes: number })[] = [];
  const same: string[] = [];
  for (const file of sized) {
    const known = listed.get(file.path);
    const isSame =
      known?.size === file.bytes && known.hash === (await hashOf(file.file, known.hash.length, file.bytes));
    if (isSame) same.push(file.path);
    else upload.push(file);
  }
  const changes = upload.some(({ path }) => listed.has(path) && belongsToModel(path)) || remove.length > 0;
  if (changes && !replace) {
    throw inputError(repo, `holds another model already; add --force to replace it (its history keeps what was there)`);
  }
  return { repo, url, isNew: false, isPrivate, parent: commit, upload, same, remove };
}

/** null where there is no repository that this token can see. */
async function existing(connection: HubConnection, id: HubId): Promise<{ commit: string; isPrivate: boolean } | null> {
  const { modelInfo } = await import("@huggingface/hub");
  try {
    return await understood(connection, id.repo, async () => {
      const info = await modelInfo({
        ...routesOf(connection, id.repo),
        name: id.repo,
        revision: id.revision,
        additionalFields: ["sha"],
      });
      return { commit: String(info.sha), isPrivate: info.private };
    });
  } catch (error) {
    if (error instanceof NoSuchModel) return null;
    throw error;
  }
}

/** SHA-256, or git's hash, by the length of what it is compared with. */
async function hashOf(file: string, digits: number, size: number): Promise<string> {
  if (digits === 64) return sha256OfFile(file);
  const hash = createHash("sha1").update(`blob ${size}\0`);
  for await (const piece of new FileContent(file, 0, size).stream()) hash.update(piece);
  return hash.digest("hex");
}

export interface Pushed {
  readonly commit: string;
  readonly url: string;
}

/** Does what was planned; `sent` hears of bytes of large files as they go. */
export async function push(
  connection: HubConnection,
  plan: PushPlan,
  { title, sent }: { readonly title: string; sent(bytes: number): void },
): Promise<Pushed> {
  const hub = await import("@huggingface/hub");
  const { repo, isNew, isPrivate, parent, upload, remove } = plan;
  const designation = { type: "model", name: repo } as const;
  return understood(connection, repo, async () => {
    const routes = routesOf(connection, repo);
    if (isNew) {
      // The token is none of the library's business.
      await hub.createRepo({
        ...routes,
        accessToken: "",
        repo: designation,
        visibility: isPrivate ? "private" : "public",
      });
    }
    // What is hashed first is read, too.
    const underWay = new Set<string>();
    const operations: CommitOperation[] = upload.map(({ path, file, bytes }) => ({
      operation: "addOrUpdate",
      path,
      content: new FileContent(file, 0, bytes, (count) => {
        if (underWay.has(path)) sent(count);
      }),
    }));
    for (const path of remove) operations.push({ operation: "delete", path });
    const { signal } = connection;
    const events = hub.commitIter({
      ...routes,
      repo: designation,
      operations,
      title,
      branch: DEFAULT_REVISION,
      useXet: false,
      ...(parent === undefined ? {} : { parentCommit: parent }),
      ...(signal === undefined ? {} : { abortSignal: signal }),
    });
    for (let step = await events.next(); ; step = await events.next()) {
      if (step.done === true) {
        if (step.value === undefined) throw failure(repo, `${connection.settings.host} names no commit`);
        const { oid } = step.value.commit;
        return { commit: oid, url: `${plan.url}/tree/${oid}` };
      }
      if (step.value.event === "fileProgress" && step.value.state === "uploading") underWay.add(step.value.path);
    }
  });
}
