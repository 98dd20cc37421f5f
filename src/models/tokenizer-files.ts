/**
 * The files that a model folder's tokenizer and chat templates are made of. One list: whoever copies, hashes or replaces
 * them takes the names from here.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { exists, fileError } from "../formats/files.ts";

/** Tokenizer settings, the special tokens' names and, in most published folders, the chat templates. */
export const TOKENIZER_CONFIG = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP = "special_tokens_map.json";
/** The template in a file of its own, as transformers writes it since 4.43. */
export const TEMPLATE_FILE = "chat_template.jinja";
/** A folder of further templates; each is named by its file, `NAME.jinja`. */
export const TEMPLATE_FOLDER = "additional_chat_templates";
export const TEMPLATE_SUFFIX = ".jinja";
/** Where the processors of models that also read pictures or sound keep theirs: a file for it, and their settings. */
export const PROCESSOR_TEMPLATE_FILE = "chat_template.json";
export const PROCESSOR_CONFIG = "processor_config.json";

/** Files that list the tokens, besides `tokenizer.json`. */
export const TOKEN_LISTS: readonly string[] = [
  "tokenizer.model",
  "spiece.model",
  "sentencepiece.bpe.model",
  "tekken.json",
  "added_tokens.json",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
];

/** All of them by their names, but for those of the folder of further templates. */
export const TOKENIZER_FILES: readonly string[] = [
  "tokenizer.json",
  TOKENIZER_CONFIG,
  SPECIAL_TOKENS_MAP,
  TEMPLATE_FILE,
  PROCESSOR_TEMPLATE_FILE,
  ...TOKEN_LISTS,
];

/** The files that templates can stand in, of those that are there: names relative to the folder, in a fixed order. */
export async function templateFiles(folder: string): Promise<string[]> {
  return existing(folder, [
    TEMPLATE_FILE,
    ...(await additionalTemplates(folder)),
    PROCESSOR_TEMPLATE_FILE,
    PROCESSOR_CONFIG,
    TOKENIZER_CONFIG,
  ]);
}

/** The files of tokenizer and templates, of those that are there: names relative to the folder, in a fixed order. */
export async function tokenizerFiles(folder: string): Promise<string[]> {
  const templates = await additionalTemplates(folder);
  return existing(
    folder,
    TOKENIZER_FILES.flatMap((name) => (name === TEMPLATE_FILE ? [name, ...templates] : [name])),
  );
}

/** The templates of the folder of further ones, as names relative to the model folder, sorted. */
export async function additionalTemplates(folder: string): Promise<string[]> {
  const path = join(folder, TEMPLATE_FOLDER);
  if (!(await exists(path))) return [];
  try {
    const names = (await readdir(path)).filter((name) => name.endsWith(TEMPLATE_SUFFIX));
    return names.sort().map((name) => `${TEMPLATE_FOLDER}/${name}`);
  } catch (error) {
    throw fileError(path, error);
  }
}

async function existing(folder: string, names: readonly string[]): Promise<string[]> {
  const there: string[] = [];
  for (const name of names) if (await exists(join(folder, name))) there.push(name);
  return there;
}
