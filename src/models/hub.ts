/**
 * Models of the Hub as folders of the ordinary cache. What a model takes is known before its weights move: `outline`
 * brings config and tokenizer and reads the headers of the weights, `fetch` the rest. Without a network, or told to be
 * offline, what the cache has is used.
 */
import { join } from "node:path";
import { FusechatError } from "../errors.ts";
import { exists, readJson } from "../formats/files.ts";
import { readSafetensorsHeader, type SafetensorsHeader } from "../formats/safetensors-header.ts";
import { INDEX, noWeights, type Outlines, SINGLE, shardsOf, weightMap } from "../formats/weights.ts";
import { blobPath, sizeOf } from "../hub/cache.ts";
import { type ConnectOptions, connect, orFailure, Unavailable } from "../hub/connection.ts";
import { type HubId, printHubId } from "../hub/id.ts";
import { commitOf, type RemoteFile, type RemoteModel } from "../hub/listing.ts";
import { readRemoteHeader } from "../hub/remote-header.ts";
import { type Reporter, silent } from "../reporter.ts";
import { codeFiles, textFiles, weightFiles } from "./hub-files.ts";
import { checkCopy, type FoundModel, lookUp } from "./hub-lookup.ts";
import { absentOf, bring, bytesToCome, checkSpace, eachOf, notGiven, type Transfer } from "./hub-transfer.ts";

/** What a model of the Hub is, as far as it is known without its weights. */
export interface HubOutline {
  /** `org/name@commit` */
  readonly name: string;
  /** Of config and tokenizer; the weights will lie there too. */
  readonly folder: string;
  /** Files of weights, and their size. */
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
  /** Throws where the cache has not room for that many bytes. */
  checkRoom(bytes: number): Promise<void>;
  /** Bytes a second in what has come so far; undefined where that was too little to tell. */
  rate(): number | undefined;
}

export interface HubOptions extends ConnectOptions {
  readonly reporter?: Reporter | undefined;
}

/** Less says nothing about a line. */
const TELLING_BYTES = 4e6;

export async function openHub({ reporter = silent, ...options }: HubOptions): Promise<Hub> {
  const connection = await connect(options);
  const { host, offline } = connection.settings;
  const transfer: Transfer = { connection, reporter, transferred: { bytes: 0, seconds: 0 } };
  // Everything is looked up once a command: a branch that moves meanwhile is one model all the same.
  const find = remembered((id) => lookUp(connection, id, reporter));

  const bringText = async (model: FoundModel): Promise<void> => {
    if (!isListed(model)) return;
    const { id, remote, folder } = model;
    await bring(transfer, model, textFiles(id.repo, remote.files), "config and tokenizer");
    if (await hasOwnCode(folder)) await bring(transfer, model, codeFiles(remote.files), "code that outputs need");
  };

  const outline = async (id: HubId): Promise<HubOutline> => {
    const model = await find(id);
    await bringText(model);
    const { commit, folder, cache, remote } = model;
    const files = await listedWeights(model);
    const absent = await absentOf(cache, commit, files);
    const headers = new Map<string, SafetensorsHeader>();
    const missing = new Map<string, number>();
    const readHeader = async (file: RemoteFile): Promise<void> => {
      const path = join(folder, file.path);
      const blob = blobPath(cache, file.hash);
      const isHere = (await sizeOf(blob)) === file.size;
      if (isHere) headers.set(path, movedTo(await readSafetensorsHeader(blob), path));
      else {
        headers.set(path, await readRemoteHeader(connection, remote!, file, path));
        missing.set(file.hash, await bytesToCome(cache, [file]));
      }
    };
    await orFailure(connection, printHubId(id), notGiven, () => eachOf(absent, readHeader));
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const problem = remote !== null && files.length === 0 ? noWeights(id.repo, remote.files.keys()) : null;
    return { name: `${id.repo}@${commit}`, folder, weights: { files: files.length, bytes }, missing, headers, problem };
  };

  return {
    host,
    text: async (id) => {
      const model = await find(id);
      await bringText(model);
      return model.folder;
    },
    outline: remembered(outline),
    fetch: async (id) => {
      const model = await find(id);
      await bringText(model);
      if (isListed(model)) {
        const files = await listedWeights(model);
        if (files.length === 0) throw noWeights(id.repo, model.remote.files.keys());
        await bring(transfer, model, files, "weights");
      } else await checkCopy(connection, model);
      return model.folder;
    },
    commit: async (id) => {
      if (offline) return undefined;
      try {
        return await commitOf(connection, id);
      } catch (error) {
        // The branch may be gone by now, too.
        if (error instanceof Unavailable || (error instanceof FusechatError && error.code === "input"))
          return undefined;
        throw error;
      }
    },
    checkRoom: (bytes) => checkSpace(connection.settings.cache, bytes),
    rate: () => {
      const { bytes, seconds } = transfer.transferred;
      return bytes >= TELLING_BYTES ? bytes / seconds : undefined;
    },
  };
}

function isListed(model: FoundModel): model is FoundModel & { readonly remote: RemoteModel } {
  return model.remote !== null;
}

/** Work on an id that is done once. */
function remembered<T>(work: (id: HubId) => Promise<T>): (id: HubId) => Promise<T> {
  const done = new Map<string, Promise<T>>();
  return (id) => {
    const key = printHubId(id);
    const result = done.get(key) ?? work(id);
    done.set(key, result);
    return result;
  };
}

/** The files of weights, in a model whose config and index are here. */
async function listedWeights({ id, folder, remote }: FoundModel): Promise<readonly RemoteFile[]> {
  if (remote === null) return [];
  const hasIndex = !remote.files.has(SINGLE) && remote.files.has(INDEX);
  const index = join(folder, INDEX);
  return weightFiles(id.repo, remote.files, hasIndex ? shardsOf(weightMap(index, await readJson(index))) : undefined);
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
