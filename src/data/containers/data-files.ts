/**
 * The files that a path of data stands for. A folder stands for the files of conversations in it, by name; one that
 * `datasets` has saved, for the files that its `state.json` lists. Where the choice could be wrong in silence (training
 * and test data side by side, the same data twice, a part that is missing) nothing is chosen.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { inputError } from "../../errors.ts";
import { exists, fileError, readJson } from "../../formats/files.ts";
import { isPattern, matchingPaths } from "./pattern.ts";
import { uncompressedName } from "./source.ts";

const DATASETS_STATE = "state.json";
const DATASETS_SPLITS = "dataset_dict.json";

/** Descriptions that stand beside data. */
const DESCRIPTIONS: readonly string[] = [DATASETS_STATE, DATASETS_SPLITS, "dataset_info.json", "dataset_infos.json"];

/** Names of the parts into which data sets are split, and how their files begin. */
const SPLIT = /^(train|training|test|testing|validation|valid|val|dev|eval|evaluation)(?=$|[-_.\d])/i;
const TRAINING: readonly string[] = ["train", "training"];

export async function dataFiles(path: string, isData: (name: string) => boolean): Promise<readonly string[]> {
  const kind = await kindOf(path);
  if (kind === "file") return [path];
  if (kind === "folder") return folderFiles(path, isData);
  if (!isPattern(path)) throw inputError(path, "no such file or folder");
  const matches = await matchingPaths(path);
  const files: string[] = [];
  for (const match of matches) if ((await kindOf(match)) === "file" && isData(match)) files.push(match);
  if (files.length === 0) {
    throw inputError(
      path,
      `expected a pattern of files of conversations, found none among the ${matches.length} that fit`,
    );
  }
  refuseTwice(path, files);
  return files;
}

async function folderFiles(folder: string, isData: (name: string) => boolean): Promise<readonly string[]> {
  let names: string[];
  try {
    names = (await readdir(folder)).sort();
  } catch (error) {
    throw fileError(folder, error);
  }
  if (names.includes(DATASETS_SPLITS)) throw await severalSplits(folder, names);
  if (names.includes(DATASETS_STATE)) {
    const saved = await savedFiles(folder);
    if (saved !== null) return saved;
  }
  const candidates = names.filter((name) => !name.startsWith(".") && !DESCRIPTIONS.includes(name) && isData(name));
  const files: string[] = [];
  for (const name of candidates) if ((await kindOf(join(folder, name))) === "file") files.push(join(folder, name));
  if (files.length === 0) {
    const folders = await foldersIn(folder, names);
    const hint =
      folders.length === 0 ? "" : `; it has the folders ${folders.slice(0, 10).join(", ")}, of which one may be meant`;
    throw inputError(folder, `expected files of conversations in this folder, found none${hint}`);
  }
  refuseTwice(folder, files);
  const splits = [...new Set(files.map((file) => SPLIT.exec(basename(file))?.[1]?.toLowerCase()))];
  if (splits.length > 1 && splits.some((split) => split !== undefined && !TRAINING.includes(split))) {
    const found = splits.map((split) => split ?? "others").join(", ");
    throw inputError(
      folder,
      `expected one part of a data set, found ${found}; name the files that are meant: ${folder}/train*`,
    );
  }
  return files;
}

/** The parts that `save_to_disk` has written, in its order; null where the file is another program's. */
async function savedFiles(folder: string): Promise<readonly string[] | null> {
  const path = join(folder, DATASETS_STATE);
  const state = (await readJson(path)) as { _data_files?: unknown; _indices_data_files?: unknown } | null;
  const listed = state?._data_files;
  if (!Array.isArray(listed)) return null;
  if (Array.isArray(state?._indices_data_files) && state._indices_data_files.length > 0) {
    throw inputError(path, "the data set has rows chosen by an index; save it anew: flatten_indices().save_to_disk()");
  }
  const files: string[] = [];
  for (const entry of listed) {
    const name = (entry as { filename?: unknown } | null)?.filename;
    if (typeof name !== "string" || name !== basename(name) || !name.endsWith(".arrow")) {
      throw inputError(path, "expected _data_files to name .arrow files of this folder, found something else");
    }
    const file = join(folder, name);
    if ((await kindOf(file)) !== "file")
      throw inputError(file, `no such file, and ${DATASETS_STATE} lists it; the data set is incomplete`);
    files.push(file);
  }
  if (files.length === 0)
    throw inputError(path, "expected _data_files to name files, found none: the data set is empty");
  return files;
}

async function severalSplits(folder: string, names: readonly string[]): Promise<Error> {
  const splits = await foldersIn(folder, names);
  return inputError(
    folder,
    `expected one data set, found a set of them; name the one that is meant: ${splits.map((name) => join(folder, name)).join(" or ")}`,
  );
}

async function foldersIn(folder: string, names: readonly string[]): Promise<string[]> {
  const folders: string[] = [];
  for (const name of names) if ((await kindOf(join(folder, name))) === "folder") folders.push(name);
  return folders;
}

/** `a.jsonl` beside `a.jsonl.gz` is the same data twice. */
function refuseTwice(where: string, files: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const file of files) {
    const plain = uncompressedName(file);
    const other = seen.get(plain);
    if (other !== undefined) {
      throw inputError(
        where,
        `${basename(other)} and ${basename(file)} look like the same data twice; name the one that is meant`,
      );
    }
    seen.set(plain, file);
  }
}

async function kindOf(path: string): Promise<"file" | "folder" | null> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    if (await exists(path)) throw fileError(path, error);
    return null;
  }
}
