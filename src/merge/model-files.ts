/**
 * The files of the output that are not weights: config and generation config of the donor, tokenizer and chat template
 * of whoever the configuration says, else of the donor.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { copyFileAtomic, exists, readJson, readText, writeFileAtomic, writeJson } from "../formats/files.ts";
import { copyModelFiles, TOKENIZER_FILES } from "../models/folder.ts";
import { CHAT_TEMPLATES } from "./chat-templates.ts";
import { isRecord } from "./complaints.ts";
import type { MergePlan } from "./plan.ts";
import type { OutputVocabulary } from "./vocabulary/output-vocabulary.ts";
import { readTokenizerFile, withTokens } from "./vocabulary/tokenizer-file.ts";

/** Those that list tokens once more. They are left out where tokens were added or taken out. */
const OTHER_TOKEN_LISTS = [
  "tokenizer.model",
  "spiece.model",
  "sentencepiece.bpe.model",
  "tekken.json",
  "added_tokens.json",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
];

/** Settings with an entry for every layer. */
const LAYER_LISTS = ["layer_types", "mlp_layer_types", "no_rope_layers"];

type Json = Record<string, unknown>;

/** `dtype` is that of the weights, by its name in PyTorch. */
export async function writeModelFiles(plan: MergePlan, folder: string, dtype: string): Promise<void> {
  const { donor, vocabulary, layers, config } = plan;
  await copyModelFiles(donor.folder, folder, { torch_dtype: dtype });
  const settings: Json = {
    ...(layers !== undefined && { num_hidden_layers: layers.length }),
    ...(vocabulary !== undefined && { vocab_size: vocabulary.rows }),
  };
  await editJson(join(folder, "config.json"), (old) => withSettings(old, settings, layers));
  if (vocabulary !== undefined) await writeTokenizer(vocabulary, donor.folder, folder);
  if (vocabulary !== undefined || config.chat_template !== undefined) await writeTemplate(plan, folder);
}

/** Models with several parts keep the language model's settings in a `text_config`. */
function withSettings(config: Json, settings: Json, layers: readonly number[] = []): Json {
  const result = { ...config };
  const part = isRecord(result.text_config) ? { ...result.text_config } : undefined;
  for (const [key, value] of Object.entries(settings)) {
    if (part !== undefined && !Object.hasOwn(result, key) && Object.hasOwn(part, key)) part[key] = value;
    else result[key] = value;
  }
  if (part !== undefined) result.text_config = part;
  for (const place of part === undefined ? [result] : [result, part]) {
    for (const key of LAYER_LISTS) {
      const list = place[key];
      if (Array.isArray(list) && layers.length > 0) place[key] = layers.map((layer) => list[layer] ?? list.at(-1));
    }
  }
  return result;
}

async function writeTokenizer(vocabulary: OutputVocabulary, donor: string, folder: string): Promise<void> {
  const { file, added, end } = vocabulary;
  const changed = added.length > 0 || [...file.vocabulary.values()].some((id) => id >= end);
  for (const name of TOKENIZER_FILES) {
    await rm(join(folder, name), { force: true });
    const path = join(vocabulary.folder, name);
    if ((await exists(path)) && !(changed && OTHER_TOKEN_LISTS.includes(name))) {
      await copyFileAtomic(path, join(folder, name));
    }
  }
  if (changed) {
    await writeJson(join(folder, "tokenizer.json"), withTokens(file.document, end, added));
    await editJson(join(folder, "tokenizer_config.json"), ({ added_tokens_decoder: old, ...rest }) => {
      if (!isRecord(old)) return rest;
      const kept = Object.entries(old).filter(([id]) => Number(id) < end);
      const more = added.map(({ id, ...token }) => [String(id), token] as const);
      return { ...rest, added_tokens_decoder: Object.fromEntries([...kept, ...more]) };
    });
  }
  if (vocabulary.folder !== donor && (await exists(join(donor, "tokenizer.json")))) {
    const spelled = new Map([...(await readTokenizerFile(join(donor, "tokenizer.json"))).vocabulary].map(invert));
    const idOf = (id: number): number | null => vocabulary.tokens.get(spelled.get(id) ?? "") ?? null;
    for (const name of ["config.json", "generation_config.json"]) {
      await editJson(join(folder, name), (config) => withTokenIds(config, idOf));
    }
  }
}

function invert([token, id]: readonly [string, number]): [number, string] {
  return [id, token];
}

/** `eos_token_id` and its like name tokens by the donor's ids; null where the new vocabulary lacks one. */
function withTokenIds(config: Json, idOf: (id: number) => number | null): Json {
  const entries = Object.entries(config).map(([key, value]) => {
    if (!key.endsWith("_token_id")) return [key, value];
    if (Array.isArray(value)) return [key, value.map((id) => idOf(Number(id))).filter((id) => id !== null)];
    return [key, typeof value === "number" ? idOf(value) : value];
  });
  return Object.fromEntries(entries);
}

/** The chosen template, or that of the tokenizer's model, in a file of its own. */
async function writeTemplate({ config, models, base, donor, vocabulary }: MergePlan, folder: string): Promise<void> {
  const own = vocabulary?.folder ?? donor.folder;
  let template: string | undefined;
  if (config.chat_template === undefined) template = await templateOf(own);
  else if (config.chat_template === "auto") {
    const all = [...models, ...(base === undefined ? [] : [base])];
    template = (await mostFrequent(all.map((input) => input.folder))) ?? (await templateOf(own));
  } else template = CHAT_TEMPLATES[config.chat_template] ?? config.chat_template;
  await editJson(join(folder, "tokenizer_config.json"), ({ chat_template: _, ...rest }) => rest);
  await rm(join(folder, "chat_template.json"), { force: true });
  const path = join(folder, "chat_template.jinja");
  if (template === undefined) await rm(path, { force: true });
  else await writeFileAtomic(path, template);
}

async function mostFrequent(folders: readonly string[]): Promise<string | undefined> {
  const counts = new Map<string, number>();
  for (const folder of folders) {
    const template = await templateOf(folder);
    if (template !== undefined) counts.set(template, (counts.get(template) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}

async function templateOf(folder: string): Promise<string | undefined> {
  const path = join(folder, "chat_template.jinja");
  if (await exists(path)) return readText(path);
  for (const name of ["chat_template.json", "tokenizer_config.json"]) {
    if (!(await exists(join(folder, name)))) continue;
    const document = await readJson(join(folder, name));
    if (isRecord(document) && typeof document.chat_template === "string") return document.chat_template;
  }
  return undefined;
}

/** Leaves a file that is not there alone. */
async function editJson(path: string, edit: (document: Json) => Json): Promise<void> {
  if (!(await exists(path))) return;
  const document = await readJson(path);
  if (isRecord(document)) await writeJson(path, edit(document));
}
