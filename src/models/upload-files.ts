/** What of a model folder goes to the Hub: the files of a model by their names, its card and its record, nothing else. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists, fileError } from "../formats/files.ts";
import { INDEX, openWeights, SINGLE } from "../formats/weights.ts";
import type { LocalFile } from "../hub/push.ts";
import { MODEL_FILES } from "./folder.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "./hub-files.ts";
import { TEMPLATE_FOLDER, TEMPLATE_SUFFIX, TOKENIZER_FILES } from "./tokenizer-files.ts";

export const CARD = "README.md";
/** What a merge or a target was made from, how the training went, and what they may be used for. */
const ACCOMPANYING = ["merge.json", "fuse.json", "log.jsonl", "LICENSE", "LICENSE.txt", "NOTICE"];
const NAMES = new Set(["config.json", ADAPTER_CONFIG, ...MODEL_FILES, ...TOKENIZER_FILES, ...ACCOMPANYING, CARD]);
const WEIGHTS = /^[^/]+\.safetensors$/;
/** Weights in other forms, which would be taken for those of the new model. */
const OTHER_WEIGHTS = /^[^/]+\.(bin|pth?|ckpt|gguf|msgpack|h5)(\.index\.json)?$/;

/** Whether a file of a repository is one of those that make a model. */
export function belongsToModel(path: string): boolean {
  return (
    (NAMES.has(path) && path !== CARD && !path.startsWith("LICENSE") && path !== "NOTICE") ||
    path === INDEX ||
    WEIGHTS.test(path) ||
    OTHER_WEIGHTS.test(path) ||
    isTemplate(path) ||
    /^[^/]+\.py$/.test(path)
  );
}

function isTemplate(path: string): boolean {
  return path.startsWith(`${TEMPLATE_FOLDER}/`) && path.endsWith(TEMPLATE_SUFFIX);
}

/** The files that go, and the names of those that stay. Throws where the folder is no whole model with a card. */
export async function uploadFiles(
  folder: string,
): Promise<{ files: readonly LocalFile[]; leftOut: readonly string[] }> {
  let names: string[];
  try {
    names = await filesIn(folder);
  } catch (error) {
    throw fileError(folder, error);
  }
  const isAdapter = !names.includes("config.json") && names.includes(ADAPTER_CONFIG);
  if (!isAdapter && !names.includes("config.json"))
    throw inputError(folder, "expected a model folder, found no config.json");
  if (!names.includes(CARD)) {
    throw inputError(
      folder,
      `expected a model card, ${CARD}, found none; merges and targets have one, of other models write what they are`,
    );
  }
  const weights = isAdapter
    ? [ADAPTER_WEIGHTS]
    : (await openWeights(folder)).files.map((file) => file.slice(folder.length + 1));
  if (isAdapter && !(await exists(join(folder, ADAPTER_WEIGHTS)))) {
    throw inputError(folder, `expected ${ADAPTER_WEIGHTS}, found none`);
  }
  const index = isAdapter || weights.includes(SINGLE) ? [] : [INDEX];
  const isChosen = (name: string): boolean =>
    NAMES.has(name) || isTemplate(name) || /^[^/]+\.py$/.test(name) || weights.includes(name) || index.includes(name);
  const files = names.filter(isChosen).map((path) => ({ path, file: join(folder, path) }));
  const leftOut = names.filter((name) => !isChosen(name) && !name.startsWith("."));
  return { files, leftOut };
}

/** Plain files and links to them, in folders too, by names with `/`, sorted. */
async function filesIn(folder: string, prefix = ""): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const name = `${prefix}${entry.name}`;
    if (!entry.isDirectory()) found.push(name);
    else if (prefix === "" && !entry.name.startsWith(".")) found.push(...(await filesIn(folder, `${name}/`)));
  }
  return found.sort();
}
