/** A revision of the Hub, looked up: what the Hub lists of it, or, where it cannot be asked, that the cache has a copy. */
import { join } from "node:path";
import { failure, inputError } from "../errors.ts";
import { exists, readJson } from "../formats/files.ts";
import { INDEX, SINGLE, shardsOf, weightMap } from "../formats/weights.ts";
import { cachedCommit, type ModelCache, modelCache, snapshotFolder } from "../hub/cache.ts";
import { type HubConnection, Unavailable } from "../hub/connection.ts";
import { type HubId, printHubId } from "../hub/id.ts";
import { commitOf, listFiles, type RemoteModel } from "../hub/listing.ts";
import type { Reporter } from "../reporter.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "./hub-files.ts";

export interface FoundModel {
  readonly id: HubId;
  readonly commit: string;
  readonly cache: ModelCache;
  /** Of its snapshot, there or to come. */
  readonly folder: string;
  /** null where only the cache is known. */
  readonly remote: RemoteModel | null;
}

export async function lookUp(connection: HubConnection, id: HubId, reporter: Reporter): Promise<FoundModel> {
  const what = printHubId(id);
  const { cache: place, host, offline } = connection.settings;
  const cache = modelCache(place, id.repo);
  if (offline) {
    const cached = await inCache(cache, id);
    if (cached !== null) return cached;
    throw inputError(what, `no folder of this name is here, HF_HUB_OFFLINE is set, and ${place} has no copy of it`);
  }
  try {
    const commit = await commitOf(connection, id);
    const remote = await listFiles(connection, id.repo, commit);
    return { id, commit, cache, folder: snapshotFolder(cache, commit), remote };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    const cached = await inCache(cache, id);
    if (cached === null) {
      const problem = `${host} cannot be reached: ${error.message}; no folder of this name is here, and no copy in ${place}`;
      throw failure(what, problem, error);
    }
    const message = `${what}: ${host} cannot be reached (${error.message}); the copy of ${cached.commit.slice(0, 12)} in the cache is used`;
    reporter.report({ type: "warning", stage: "fetch", message });
    return cached;
  }
}

async function inCache(cache: ModelCache, id: HubId): Promise<FoundModel | null> {
  const commit = await cachedCommit(cache, id);
  const folder = commit === undefined ? undefined : snapshotFolder(cache, commit);
  if (folder === undefined || !(await exists(folder))) return null;
  return { id, commit: commit!, cache, folder, remote: null };
}

/** Throws where a copy that the Hub cannot be asked about lacks something that is known to be needed. */
export async function checkCopy({ settings }: HubConnection, { id, folder }: FoundModel): Promise<void> {
  const has = (name: string): Promise<boolean> => exists(join(folder, name));
  const index = join(folder, INDEX);
  let missing: string | undefined;
  if (!(await has("config.json")) && !(await has(ADAPTER_CONFIG))) missing = "config.json";
  else if (await has(SINGLE)) missing = undefined;
  else if (await has(INDEX)) {
    for (const shard of shardsOf(weightMap(index, await readJson(index)))) if (!(await has(shard))) missing ??= shard;
  } else if (!(await has(ADAPTER_WEIGHTS))) missing = SINGLE;
  if (missing === undefined) return;
  const why = settings.offline ? "HF_HUB_OFFLINE is set" : `${settings.host} cannot be reached`;
  throw failure(printHubId(id), `${why}, and the copy in the cache is without ${missing}: ${folder}`);
}
