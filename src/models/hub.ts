/**
 * Models of the Hub as folders of the ordinary cache. What a model takes is known before its weights move: `outline`
 * brings config and tokenizer and reads the headers of the weights, `fetch` the rest. Without a network, or told to be
 * offline, what the cache has is used.
 */
import { join } from "node:path";
import { FusechatError, failure, inputError } from "../errors.ts";
import { exists, readJson } from "../formats/files.ts";
import { freeBytes } from "../formats/free-disk.ts";
import { readSafetensorsHeader, type SafetensorsHeader } from "../formats/safetensors-header.ts";
import { INDEX, noWeights, type Outlines, SINGLE, shardsOf, weightMap } from "../formats/weights.ts";
import { type BlobListener, fetchBlob, unfinishedPath } from "../hub/blob.ts";
import {
  blobPath,
  cachedCommit,
  enter,
  keepCommit,
  type ModelCache,
  modelCache,
  sizeOf,
  snapshotFolder,
} from "../hub/cache.ts";
import { type HubId, printHubId } from "../hub/id.ts";
import { commitOf, listFiles, type RemoteFile, type RemoteModel } from "../hub/listing.ts";
import { readRemoteHeader } from "../hub/remote-header.ts";
import { type HubConnection, pause, Unavailable } from "../hub/request.ts";
import { type Environment, hubSettings } from "../hub/settings.ts";
import { type Reporter, silent } from "../reporter.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, codeFiles, textFiles, weightFiles } from "./hub-files.ts";

/** What a model of the Hub is, as far as it is known without its weights. */
export interface HubOutline {
  /** `org/name@commit` */
  readonly name: string;
  /** Of config and tokenizer; the weights will lie there too. */
  readonly folder: string;
  /** Files of weights, and how much of them is still to come. */
  readonly weights: { readonly files: number; readonly bytes: number };
  /** Bytes of weights that are still to come, by the hash of their file: two commits may share one. */
  readonly missing: ReadonlyMap<string, number>;
  /** Headers of files that are not here, by the paths they will have. */
  readonly headers: Outlines;
  /** Why there are no weights that can be opened. */
  readonly problem: FusechatError | null;
}

export interface Hub {
  readonly host: string;
  /** The folder with config, tokenizer and templates. */
  text(id: HubId): Promise<string>;
  /** The same, and the headers of the weights that are not here. */
  outline(id: HubId): Promise<HubOutline>;
  /** The folder with everything. */
  fetch(id: HubId): Promise<string>;
  /** The commit that a revision stands for now; undefined where the Hub cannot be asked. */
  commit(id: HubId): Promise<string | undefined>;
  /** Bytes a second in what has come so far; undefined where that was too little to tell. */
  rate(): number | undefined;
}

export interface HubOptions {
  /** `process.env`: where the Hub and its cache are, and the token. */
  readonly environment: Environment;
  readonly reporter?: Reporter;
  readonly signal?: AbortSignal;
  /** Waits before another attempt; for tests. */
  readonly pause?: HubConnection["pause"];
}

/** Files, and headers, that come at a time. */
const AT_ONCE = 4;
/** Less says nothing about a line. */
const TELLING_BYTES = 4e6;
/** Links, folders and references. */
const OTHER_BYTES = 16e6;

/** A revision that was looked up: what the Hub lists of it, or that the Hub could not be asked. */
interface Found {
  readonly id: HubId;
  readonly commit: string;
  readonly cache: ModelCache;
  readonly folder: string;
  /** null where only the cache is known. */
  readonly remote: RemoteModel | null;
}

export async function openHub({
  environment,
  reporter = silent,
  signal,
  pause: pauseFor = pause,
}: HubOptions): Promise<Hub> {
  const settings = await hubSettings(environment);
  const connection: HubConnection = { settings, pause: pauseFor, ...(signal === undefined ? {} : { signal }) };
  const found = new Map<string, Promise<Found>>();
  const outlines = new Map<string, Promise<HubOutline>>();
  const transfer = { bytes: 0, seconds: 0 };

  const find = (id: HubId): Promise<Found> => {
    const key = printHubId(id);
    const finding = found.get(key) ?? lookUp(id);
    found.set(key, finding);
    return finding;
  };

  const lookUp = async (id: HubId): Promise<Found> => {
    const what = printHubId(id);
    const cache = modelCache(settings.cache, id.repo);
    const inCache = async (): Promise<Found | null> => {
      const commit = await cachedCommit(cache, id);
      const folder = commit === undefined ? undefined : snapshotFolder(cache, commit);
      if (folder === undefined || !(await exists(folder))) return null;
      return { id, commit: commit!, cache, folder, remote: null };
    };
    if (settings.offline) {
      const cached = await inCache();
      if (cached !== null) return cached;
      throw inputError(
        what,
        `no folder of this name is here, HF_HUB_OFFLINE is set, and ${settings.cache} has no copy of it`,
      );
    }
    try {
      const commit = await commitOf(connection, id);
      const remote = await listFiles(connection, id.repo, commit);
      return { id, commit, cache, folder: snapshotFolder(cache, commit), remote };
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      const cached = await inCache();
      if (cached === null) {
        throw failure(
          what,
          `${settings.host} cannot be reached: ${error.message}; no folder of this name is here, and no copy in ${settings.cache}`,
          error,
        );
      }
      const message = `${what}: ${settings.host} cannot be reached (${error.message}); the copy of ${cached.commit.slice(0, 12)} in the cache is used`;
      reporter.report({ type: "warning", stage: "fetch", message });
      return cached;
    }
  };

  /** Brings files that are not in the snapshot yet. */
  const bring = async (
    { id, commit, cache, remote }: Found,
    files: readonly RemoteFile[],
    what: string,
  ): Promise<void> => {
    const missing: RemoteFile[] = [];
    for (const file of files) if (!(await isWhole(cache, commit, file))) missing.push(file);
    await guarded(printHubId(id), async () => {
      if (files.length > 0) await keepCommit(cache, id, commit);
      if (missing.length === 0) return;
      const stage = `fetch ${id.repo}`;
      let total = await bytesToCome(cache, missing);
      await checkSpace(total);
      const name = `${id.repo}@${commit.slice(0, 12)}`;
      const count = `${missing.length} ${missing.length === 1 ? "file" : "files"}`;
      const summary = `${name}: ${sizeText(total)} in ${count} (${what}) from ${settings.host} into ${settings.cache}`;
      reporter.report({
        type: "end",
        stage: "fetch",
        summary,
        figures: { model: `${id.repo}@${commit}`, files: missing.length, bytes: total },
      });
      const startedAt = performance.now();
      let done = 0;
      const progress = (): void => {
        const unit = "MB";
        reporter.report({
          type: "progress",
          stage,
          done: Math.round(done / 1e5) / 10,
          total: Math.ceil(total / 1e5) / 10,
          unit,
        });
      };
      reporter.report({ type: "start", stage, total: Math.ceil(total / 1e5) / 10, unit: "MB" });
      try {
        await eachOf(missing, async (file) => {
          const listener: BlobListener = {
            arrived: (bytes) => {
              done += bytes;
              transfer.bytes += bytes;
              progress();
            },
            lost: (bytes) => {
              total += bytes;
            },
            waiting: (who) => {
              const message = `${file.path}: ${who} is fetching it; waiting for that`;
              reporter.report({ type: "warning", stage, message });
            },
          };
          await fetchBlob(connection, cache, remote!, file, listener);
          await enter(cache, commit, file.path, file.hash);
        });
      } finally {
        transfer.seconds += (performance.now() - startedAt) / 1000;
      }
      const seconds = (performance.now() - startedAt) / 1000;
      reporter.report({ type: "end", stage, summary: `${sizeText(done)}, ${sizeText(done / seconds)} a second` });
    });
  };

  const checkSpace = async (bytes: number): Promise<void> => {
    const free = await freeBytes(settings.cache);
    const needed = bytes + OTHER_BYTES;
    if (free === undefined || free >= needed) return;
    throw failure(
      settings.cache,
      `expected ${sizeText(needed)} of free disk, found ${sizeText(free)}; free some, or set HF_HUB_CACHE`,
    );
  };

  const bringText = async (model: Found): Promise<void> => {
    const { id, remote, folder } = model;
    if (remote === null) return;
    await bring(model, textFiles(id.repo, remote.files), "config and tokenizer");
    if (await hasOwnCode(folder)) await bring(model, codeFiles(remote.files), "code that outputs need");
  };

  const weightsOf = async ({ id, folder, remote }: Found): Promise<readonly RemoteFile[]> => {
    if (remote === null) return [];
    const hasIndex = !remote.files.has(SINGLE) && remote.files.has(INDEX);
    const index = join(folder, INDEX);
    const shards = hasIndex ? shardsOf(weightMap(index, await readJson(index))) : undefined;
    return weightFiles(id.repo, remote.files, shards);
  };

  const outlineOf = async (id: HubId): Promise<HubOutline> => {
    const model = await find(id);
    await bringText(model);
    const { commit, folder, cache, remote } = model;
    const files = await weightsOf(model);
    const headers = new Map<string, SafetensorsHeader>();
    const absent: RemoteFile[] = [];
    for (const file of files) if (!(await isWhole(cache, commit, file))) absent.push(file);
    await guarded(printHubId(id), () =>
      eachOf(absent, async (file) => {
        const path = join(folder, file.path);
        const blob = blobPath(cache, file.hash);
        const isHere = (await sizeOf(blob)) === file.size;
        const header = isHere
          ? await readSafetensorsHeader(blob)
          : await readRemoteHeader(connection, remote!, file, path);
        headers.set(path, isHere ? movedTo(header, path) : header);
      }),
    );
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const missing = new Map<string, number>();
    for (const file of absent) {
      const bytes = await bytesToCome(cache, [file]);
      if (bytes > 0) missing.set(file.hash, bytes);
    }
    const problem = files.length === 0 && remote !== null ? noWeights(id.repo, remote.files.keys()) : null;
    return { name: `${id.repo}@${commit}`, folder, weights: { files: files.length, bytes }, missing, headers, problem };
  };

  return {
    host: settings.host,
    rate: () => (transfer.bytes >= TELLING_BYTES ? transfer.bytes / transfer.seconds : undefined),
    commit: async (id) => {
      if (settings.offline) return undefined;
      try {
        return await commitOf(connection, id);
      } catch (error) {
        // The branch may be gone by now, too.
        if (error instanceof Unavailable || (error instanceof FusechatError && error.code === "input"))
          return undefined;
        throw error;
      }
    },
    text: async (id) => {
      const model = await find(id);
      await bringText(model);
      return model.folder;
    },
    outline: (id) => {
      const key = printHubId(id);
      const outlining = outlines.get(key) ?? outlineOf(id);
      outlines.set(key, outlining);
      return outlining;
    },
    fetch: async (id) => {
      const model = await find(id);
      await bringText(model);
      const { folder, remote } = model;
      const files = await weightsOf(model);
      if (remote !== null && files.length === 0) throw noWeights(id.repo, remote.files.keys());
      if (remote === null)
        await checkCopy(
          printHubId(id),
          folder,
          settings.offline ? "HF_HUB_OFFLINE is set" : `${settings.host} cannot be reached`,
        );
      else await bring(model, files, "weights");
      return folder;
    },
  };

  /** Says in a sentence that the Hub is not to be had; what has come is kept. */
  async function guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      throw failure(
        what,
        `${settings.host} does not give it: ${error.message}; what has come is kept, run the same command again`,
        error,
      );
    }
  }
}

/** Work on several at once; the first error ends it, once what is under way has ended. */
async function eachOf<T>(list: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...list];
  let failed = false;
  const errors: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined && !failed; item = queue.shift()) {
      try {
        await work(item);
      } catch (error) {
        failed = true;
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, list.length) }, worker));
  if (failed) throw errors[0];
}

/** In the snapshot, and of the size that is listed: a link to nothing is no file. */
async function isWhole(cache: ModelCache, commit: string, { path, size }: RemoteFile): Promise<boolean> {
  return (await sizeOf(join(snapshotFolder(cache, commit), path))) === size;
}

/** Bytes that have not come yet of files that are not whole. */
async function bytesToCome(cache: ModelCache, files: readonly RemoteFile[]): Promise<number> {
  let total = 0;
  for (const { hash, size } of files) {
    if ((await sizeOf(blobPath(cache, hash))) === size) continue;
    const begun = (await sizeOf(unfinishedPath(cache, hash))) ?? 0;
    total += begun <= size ? size - begun : size;
  }
  return total;
}

async function hasOwnCode(folder: string): Promise<boolean> {
  const path = join(folder, "config.json");
  if (!(await exists(path))) return false;
  const config = await readJson(path);
  return typeof config === "object" && config !== null && "auto_map" in config;
}

/** A header whose tensors are said to lie elsewhere. */
function movedTo({ tensors, metadata }: SafetensorsHeader, path: string): SafetensorsHeader {
  return { tensors: new Map([...tensors].map(([name, info]) => [name, { ...info, file: path }])), metadata };
}

/** Throws where a copy in the cache, which the Hub cannot be asked about, lacks something that is known to be needed. */
async function checkCopy(what: string, folder: string, why: string): Promise<void> {
  const has = (name: string): Promise<boolean> => exists(join(folder, name));
  const index = join(folder, INDEX);
  let missing: string | undefined;
  if (!(await has("config.json")) && !(await has(ADAPTER_CONFIG))) missing = "config.json";
  else if (await has(SINGLE)) missing = undefined;
  else if (await has(INDEX)) {
    for (const shard of shardsOf(weightMap(index, await readJson(index)))) if (!(await has(shard))) missing ??= shard;
  } else if (!(await has(ADAPTER_WEIGHTS))) missing = SINGLE;
  if (missing !== undefined) throw failure(what, `${why}, and the copy in the cache is without ${missing}: ${folder}`);
}

function sizeText(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}
