/**
 * Where a model lies: a folder; `base+adapter`, two of them; or the folder of an adapter whose own config names its
 * base, which is looked for beside it.
 */
import { stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { inputError } from "../../errors.ts";
import { exists } from "../../formats/files.ts";
import { readAdapterConfig } from "../adapters/adapter-config.ts";

export interface ModelFolders {
  /** Of config and weights. */
  readonly folder: string;
  /** Of a LoRA adapter that changes them. */
  readonly adapter: string | undefined;
}

/** Such as `meta-llama/Llama-3.1-8B`; mergekit downloads those. */
const HUB_NAME = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;
const ADAPTER_CONFIG = "adapter_config.json";

/** Relative paths are looked up in `baseFolder`, then in the current folder. */
export async function findModel(model: string, baseFolder: string): Promise<ModelFolders> {
  const folder = await existingFolder(model, baseFolder);
  if (folder !== undefined)
    return (await isAdapter(folder)) ? ofLoneAdapter(model, folder, baseFolder) : { folder, adapter: undefined };
  // The name of a folder may have a plus of its own.
  for (let plus = model.lastIndexOf("+"); plus > 0; plus = model.lastIndexOf("+", plus - 1)) {
    const base = await existingFolder(model.slice(0, plus), baseFolder);
    if (base === undefined) continue;
    const adapter = await findFolder(model.slice(plus + 1), baseFolder);
    if (await exists(join(adapter, ADAPTER_CONFIG))) return { folder: base, adapter };
    throw inputError(adapter, `expected a LoRA adapter with ${ADAPTER_CONFIG}, found none`);
  }
  return { folder: await findFolder(model, baseFolder), adapter: undefined };
}

/** A folder that must be there. */
export async function findFolder(model: string, baseFolder: string): Promise<string> {
  const folder = await existingFolder(model, baseFolder);
  if (folder !== undefined) return folder;
  const advice = HUB_NAME.test(model) ? "; a model of the Hub has to be downloaded first" : "";
  const places = placesOf(model, baseFolder).join(" or ");
  throw inputError(JSON.stringify(model), `expected a model folder, found none at ${places}${advice}`);
}

async function existingFolder(model: string, baseFolder: string): Promise<string | undefined> {
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

/** The base as the adapter's config names it: a path, or the last part of a name of the Hub as a folder beside it. */
async function ofLoneAdapter(model: string, adapter: string, baseFolder: string): Promise<ModelFolders> {
  const { base } = await readAdapterConfig(adapter);
  for (const name of base === undefined || base === "" ? [] : [base, basename(base)]) {
    for (const beside of [dirname(adapter), adapter, baseFolder]) {
      const folder = await existingFolder(name, beside);
      if (folder !== undefined && folder !== adapter) return { folder, adapter };
    }
  }
  const found = base === undefined ? "it names none" : `it names ${JSON.stringify(base)}, which is no folder here`;
  throw inputError(
    adapter,
    `holds a LoRA adapter alone, whose base is needed, and ${found}; write BASE+${model}, with the folder of its base`,
  );
}
