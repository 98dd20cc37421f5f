/**
 * What a person wrote for a model, as files that can be opened. In this order: a folder of that name; `base+adapter`, two
 * models; `org/name` or `org/name@revision`, a model of the Hub. The folder of a LoRA adapter alone stands for it and the
 * base that its own config names, which is looked for beside it first.
 */
import { stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { exists, readJson } from "../formats/files.ts";
import type { SafetensorsHeader } from "../formats/safetensors-header.ts";
import { type HubId, hubNameOf, parseHubId } from "../hub/id.ts";
import type { Hub } from "./hub.ts";
import { ADAPTER_CONFIG } from "./hub-files.ts";

export interface ModelFolders {
  /** Of config and weights. */
  readonly folder: string;
  /** Of a LoRA adapter that changes them. */
  readonly adapter: string | undefined;
}

/** Gives the folder of a model of the Hub. */
export type HubFolder = (id: HubId) => Promise<string>;

/** Where models are looked for. */
export interface ModelPlaces {
  /** Relative paths are looked up there, then in the current folder. */
  readonly baseFolder: string;
  /** Without it models of the Hub are refused. */
  readonly hub?: HubFolder | undefined;
}

/** Everything of a model comes. */
export function fetched(hub: () => Promise<Hub>): HubFolder {
  return async (id) => (await hub()).fetch(id);
}

/** Of weights that are not here the headers come alone, into `outlines`. */
export function outlined(hub: () => Promise<Hub>, outlines: Map<string, SafetensorsHeader>): HubFolder {
  return async (id) => {
    const { folder, headers, problem } = await (await hub()).outline(id);
    if (problem !== null) throw problem;
    for (const [path, header] of headers) outlines.set(path, header);
    return folder;
  };
}

/** Config, tokenizer and templates come. */
export function textOnly(hub: () => Promise<Hub>): HubFolder {
  return async (id) => (await hub()).text(id);
}

export async function findModel(model: string, places: ModelPlaces): Promise<ModelFolders> {
  const folder = await existingFolder(model, places);
  if (folder === undefined) {
    // The name of a folder may have a plus of its own.
    for (let plus = model.lastIndexOf("+"); plus > 0; plus = model.lastIndexOf("+", plus - 1)) {
      const base = await existingModel(model.slice(0, plus), places);
      if (base === undefined) continue;
      const adapter = await findFolder(model.slice(plus + 1), places);
      if (await exists(join(adapter, ADAPTER_CONFIG))) return { folder: base, adapter };
      throw inputError(adapter, `expected a LoRA adapter with ${ADAPTER_CONFIG}, found none`);
    }
  }
  const found = folder ?? (await findFolder(model, places));
  return (await isAdapter(found)) ? ofLoneAdapter(model, found, places) : { folder: found, adapter: undefined };
}

/** A folder that must be there, or come from the Hub. */
export async function findFolder(model: string, places: ModelPlaces): Promise<string> {
  const found = await existingModel(model, places);
  if (found !== undefined) return found;
  const isHubId = parseHubId(model) !== undefined;
  const advice = isHubId ? "; a model of the Hub has to be downloaded first" : "";
  const tried = placesOf(model, places.baseFolder).join(" or ");
  throw inputError(JSON.stringify(model), `expected a model folder, found none at ${tried}${advice}`);
}

/** A folder, or a model of the Hub; undefined where the text is neither. */
async function existingModel(model: string, places: ModelPlaces): Promise<string | undefined> {
  const folder = await existingFolder(model, places);
  if (folder !== undefined) return folder;
  const id = parseHubId(model);
  return id === undefined ? undefined : places.hub?.(id);
}

async function existingFolder(model: string, { baseFolder }: ModelPlaces): Promise<string | undefined> {
  for (const place of placesOf(model, baseFolder)) {
    const found = await stat(place).catch(() => undefined);
    if (found?.isDirectory()) return place;
  }
  return undefined;
}

function placesOf(model: string, baseFolder: string): readonly string[] {
  return isAbsolute(model) ? [model] : [...new Set([resolve(baseFolder, model), resolve(model)])];
}

async function isAdapter(folder: string): Promise<boolean> {
  return (await exists(join(folder, ADAPTER_CONFIG))) && !(await exists(join(folder, "config.json")));
}

/** The base as the adapter's config names it: a path, the last part of an id as a folder beside it, or an id. */
async function ofLoneAdapter(model: string, adapter: string, places: ModelPlaces): Promise<ModelFolders> {
  const base = await baseOf(adapter);
  for (const name of base === undefined || base === "" ? [] : [base, basename(base)]) {
    for (const baseFolder of [dirname(adapter), adapter, places.baseFolder]) {
      const folder = await existingFolder(name, { baseFolder });
      if (folder !== undefined && folder !== adapter) return { folder, adapter };
    }
  }
  const id = base === undefined ? undefined : parseHubId(base);
  if (id !== undefined && places.hub !== undefined) return { folder: await places.hub(id), adapter };
  const found = base === undefined ? "it names none" : `it names ${JSON.stringify(base)}, which is no folder here`;
  throw inputError(
    adapter,
    `holds a LoRA adapter alone, whose base is needed, and ${found}; write BASE+${model}, with the folder of its base`,
  );
}

async function baseOf(adapter: string): Promise<string | undefined> {
  const config = await readJson(join(adapter, ADAPTER_CONFIG));
  const base =
    typeof config === "object" && config !== null && "base_model_name_or_path" in config
      ? config.base_model_name_or_path
      : undefined;
  return typeof base === "string" ? base : undefined;
}

/** How records of results call a model: one of the Hub with its commit, any other by its folder's own name. */
export function recordedName(folder: string): string {
  return hubNameOf(folder) ?? basename(resolve(folder));
}
