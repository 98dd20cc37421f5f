/**
 * The files of the output that are not weights: config and generation config of the donor, tokenizer and chat template
 * of whoever the configuration says, else of the donor.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import {
  copyFileAtomic,
  exists,
  readJsonDocument,
  readText,
  writeFileAtomic,
  writeJsonDocument,
} from "../formats/files.ts";
import {
  isJsonNumber,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  jsonNumber,
  numberOf,
} from "../formats/json-document.ts";
import { copyModelFiles, TOKENIZER_FILES } from "../models/folder.ts";
import { CHAT_TEMPLATES } from "./chat-templates.ts";
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

/** `dtype` is that of the weights, by its name in PyTorch. */
export async function writeModelFiles(plan: MergePlan, folder: string, dtype: string): Promise<void> {
  const { donor, vocabulary, layers, config } = plan;
  await copyModelFiles(donor.folder, folder, { torch_dtype: dtype });
  const settings = new Map<string, number>();
  if (layers !== undefined) settings.set("num_hidden_layers", layers.length);
  if (vocabulary !== undefined) settings.set("vocab_size", vocabulary.rows);
  await editJson(join(folder, "config.json"), (old) => withSettings(old, settings, layers));
  if (vocabulary !== undefined) await writeTokenizer(vocabulary, donor.folder, folder);
  if (vocabulary !== undefined || config.chat_template !== undefined) await writeTemplate(plan, folder);
}

/** Models with several parts keep the language model's settings in a `text_config`. */
function withSettings(
  config: JsonObject,
  settings: ReadonlyMap<string, number>,
  layers: readonly number[] = [],
): JsonObject {
  const result = new Map(config);
  const inner = config.get("text_config");
  const part = isJsonObject(inner) ? new Map(inner) : undefined;
  for (const [key, value] of settings) {
    const place = part?.has(key) && !result.has(key) ? part : result;
    place.set(key, jsonNumber(value));
  }
  if (part !== undefined) result.set("text_config", part);
  for (const place of part === undefined ? [result] : [result, part]) {
    for (const key of LAYER_LISTS) {
      const list = place.get(key);
      if (!Array.isArray(list) || list.length === 0 || layers.length === 0) continue;
      place.set(
        key,
        layers.map((layer) => list[layer] ?? list.at(-1)!),
      );
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
    await writeJsonDocument(join(folder, "tokenizer.json"), withTokens(file.document, end, added));
    await editJson(join(folder, "tokenizer_config.json"), (config) => {
      const old = config.get("added_tokens_decoder");
      if (!isJsonObject(old)) return config;
      const kept = [...old].filter(([id]) => Number(id) < end);
      const more = added.map(({ id, entry }) => [String(id), withoutId(entry)] as const);
      return new Map(config).set("added_tokens_decoder", new Map([...kept, ...more]));
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

function withoutId(entry: JsonObject): JsonObject {
  const rest = new Map(entry);
  rest.delete("id");
  return rest;
}

function invert([token, id]: readonly [string, number]): [number, string] {
  return [id, token];
}

/** `eos_token_id` and its like name tokens by the donor's ids; null where the new vocabulary lacks one. */
function withTokenIds(config: JsonObject, idOf: (id: number) => number | null): JsonObject {
  const translated = (value: JsonValue): JsonValue => {
    const id = isJsonNumber(value) ? idOf(numberOf(value)) : null;
    return id === null ? null : jsonNumber(id);
  };
  return new Map(
    [...config].map(([key, value]): [string, JsonValue] => {
      if (!key.endsWith("_token_id")) return [key, value];
      if (Array.isArray(value)) return [key, value.map(translated).filter((id) => id !== null)];
      return [key, isJsonNumber(value) ? translated(value) : value];
    }),
  );
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
  await editJson(join(folder, "tokenizer_config.json"), (config) => {
    const rest = new Map(config);
    rest.delete("chat_template");
    return rest;
  });
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
    const document = await readJsonDocument(join(folder, name));
    const template = isJsonObject(document) ? document.get("chat_template") : undefined;
    if (typeof template === "string") return template;
  }
  return undefined;
}

/** Leaves a file that is not there alone. */
async function editJson(path: string, edit: (document: JsonObject) => JsonObject): Promise<void> {
  if (!(await exists(path))) return;
  const document = await readJsonDocument(path);
  if (isJsonObject(document)) await writeJsonDocument(path, edit(document));
}
