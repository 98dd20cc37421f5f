/**
 * What a model of the Hub is called: `org/name`, with `@revision` a branch, tag or commit. The ordinary cache spells the
 * name in its folders (`models--org--name/snapshots/<commit>`), so a folder of the cache says which model it holds.
 */
import { basename, dirname } from "node:path";

export interface HubId {
  /** `org/name`, or `name` alone of the oldest models. */
  readonly repo: string;
  /** A branch, tag or commit. */
  readonly revision: string;
}

export const DEFAULT_REVISION = "main";

const PART = /^[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?$/;
/** Names of git, of which those that would leave the folder `refs` are taken out below. */
const REVISION = /^[\w.-]+(?:\/[\w.-]+)*$/;
const COMMIT = /^[0-9a-f]{40}$/;
const FOLDER = /^models--(.+)$/;

/** The id that a text spells; undefined where it is none. One part alone is never taken for a model of the Hub. */
export function parseHubId(text: string): HubId | undefined {
  const [repo = "", ...rest] = text.split("@");
  const revision = rest.length === 0 ? DEFAULT_REVISION : rest.join("@");
  const parts = repo.split("/");
  const isRepo = parts.length === 2 && parts.every((part) => PART.test(part)) && !/--|\.\.|\.git$/.test(repo);
  return isRepo && isRevision(revision) ? { repo, revision } : undefined;
}

function isRevision(text: string): boolean {
  return text.length <= 200 && REVISION.test(text) && !text.split("/").some((part) => /^\.+$/.test(part));
}

export function isCommit(text: string): boolean {
  return COMMIT.test(text);
}

/** As people write it: a revision only where it is not the usual one. */
export function printHubId({ repo, revision }: HubId): string {
  return revision === DEFAULT_REVISION ? repo : `${repo}@${revision}`;
}

/** `models--org--name` */
export function cacheName(repo: string): string {
  return `models--${repo.replaceAll("/", "--")}`;
}

/** `org/name@commit` of a snapshot in the cache; undefined of any other folder. */
export function hubNameOf(folder: string): string | undefined {
  const commit = basename(folder);
  const snapshots = dirname(folder);
  const [, repo] = FOLDER.exec(basename(dirname(snapshots))) ?? [];
  if (repo === undefined || basename(snapshots) !== "snapshots" || !isCommit(commit)) return undefined;
  return `${repo.replaceAll("--", "/")}@${commit}`;
}

/** The name that a model has by itself: the last part of a path or of an id, without its revision. */
export function ownNameOf(model: string): string {
  const name = hubNameOf(model) ?? (parseHubId(model) === undefined ? undefined : model);
  return basename(name === undefined ? model : name.split("@")[0]!);
}
