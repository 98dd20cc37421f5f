/**
 * A folder of shards. `settings.json` is written before the first shard and says what the folder is for, a closing
 * file (`manifest.json`, or `alignment.json` of an aligned folder) after the last: the first without the second means
 * that the work was interrupted. Folders that other programs write may lack both.
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { exists, fileError, readJson, writeJson } from "../formats/files.ts";
import { LOCK_FILE } from "../formats/lock.ts";
import { parseHubId } from "../hub/id.ts";
import { tableOf } from "../table.ts";
import { programOf } from "../version.ts";

export const SETTINGS_FILE = "settings.json";
export const MANIFEST_FILE = "manifest.json";
/** The files that close a folder; either will do. */
const CLOSING_FILES = [MANIFEST_FILE, "alignment.json"];

/** Who began a folder, and where its model was had from; no part of what it was made from. */
const PROGRAM = "program";
const HUB = "hub";

/** What a folder was made from and how: flat, so that a difference has a key. */
export type Settings = Readonly<Record<string, string | number>>;

export function shardName(index: number): string {
  return `shard-${String(index).padStart(5, "0")}.safetensors`;
}

/** Paths of the shards of a finished folder, in order. Refuses a folder without shards, with a gap, or unfinished. */
export async function listShards(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    throw fileError(folder, error);
  }
  if (names.includes(SETTINGS_FILE) && !CLOSING_FILES.some((name) => names.includes(name))) {
    throw inputError(folder, "its shards are unfinished; run the command that writes them again, it continues there");
  }
  const count = names.filter((name) => /^shard-\d{5,}\.safetensors$/.test(name)).length;
  if (count === 0) throw inputError(folder, `expected shards (${shardName(0)} and so on), found none`);
  const present = new Set(names);
  return Array.from({ length: count }, (_, index) => {
    const name = shardName(index);
    if (!present.has(name)) throw inputError(folder, `${name} is missing, though the folder has ${count} shards`);
    return join(folder, name);
  });
}

/** The settings of a folder, or undefined where it has none. */
export async function readSettings(folder: string): Promise<Settings | undefined> {
  const path = join(folder, SETTINGS_FILE);
  if (!(await exists(path))) return undefined;
  const value = await readJson(path);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw inputError(path, "expected an object of settings");
  }
  return tableOf(value as Settings);
}

/** Where an engine keeps what is done of one of its own jobs; gone when all shards are there. */
export const WORK_FOLDER = ".work";

/** Throws where a folder that nothing was begun in holds files all the same: they are somebody's. */
async function refuseForeign(folder: string): Promise<void> {
  const names = (await exists(folder)) ? await readdir(folder) : [];
  const other = names.find((name) => !name.startsWith(LOCK_FILE) && name !== WORK_FOLDER);
  if (other !== undefined) {
    throw inputError(folder, `exists and holds ${other}, but nothing of this program; choose another folder`);
  }
}

/** What a folder that was begun with these settings says of who began it. */
export interface BegunFolder {
  readonly program: unknown;
}

/**
 * Refuses a folder that was begun with other settings, naming the first that differs, or that holds foreign shards;
 * null where nothing is begun.
 */
export async function checkSettings(folder: string, settings: Settings): Promise<BegunFolder | null> {
  const found = await readSettings(folder);
  if (found === undefined) {
    if (await exists(join(folder, shardName(0)))) {
      throw inputError(folder, `holds shards but no ${SETTINGS_FILE}; give another folder`);
    }
    await refuseForeign(folder);
    return null;
  }
  const asked = tableOf(settings);
  for (const key of new Set([...Object.keys(asked), ...Object.keys(found)])) {
    if (found[key] === asked[key] || key === PROGRAM || key === HUB) continue;
    throw inputError(
      folder,
      `belongs to other settings: "${key}" is ${excerptOf(found[key])} there and ${excerptOf(asked[key])} here; give another folder or remove this one`,
    );
  }
  return { program: found[PROGRAM] };
}

/** `org/name@commit` of the model that a folder's distributions are of, where it is one of the Hub. */
export async function hubModelOf(folder: string): Promise<string | undefined> {
  const hub = (await readSettings(folder))?.[HUB];
  return typeof hub === "string" && parseHubId(hub) !== undefined ? hub : undefined;
}

/** Marks the folder as begun with these settings, by this program; call `checkSettings` first. */
export async function writeSettings(
  folder: string,
  settings: Settings,
  { kind = "distributions", hub }: { kind?: "distributions" | "alignment"; hub?: string | undefined } = {},
): Promise<void> {
  const origin = hub === undefined ? {} : { [HUB]: hub };
  await writeJson(join(folder, SETTINGS_FILE), { [PROGRAM]: programOf(kind), ...origin, ...settings });
}
