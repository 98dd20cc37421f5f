/**
 * The files of the output that are not weights: config and generation config of the donor, tokenizer and chat template
 * of whoever the configuration says, else of the donor.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULT_TEMPLATE, readTemplates, type TemplateSource } from "../data/template-files.ts";
import { inputError } from "../errors.ts";
import { copyFileAtomic, exists, readJsonDocument, writeFileAtomic, writeJsonDocument } from "../formats/files.ts";
import {
  isJsonNumber,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  jsonNumber,
  numberOf,
} from "../formats/json-document.ts";
import { copyModelFiles } from "../models/folder.ts";
import {
  PROCESSOR_CONFIG,
  PROCESSOR_TEMPLATE_FILE,
  TEMPLATE_FILE,
  TEMPLATE_FOLDER,
  TEMPLATE_SUFFIX,
  TOKEN_LISTS,
  TOKENIZER_CONFIG,
  tokenizerFiles,
} from "../models/tokenizer-files.ts";
import { CHAT_TEMPLATES } from "./chat-templates.ts";
import type { MergePlan } from "./plan.ts";
import type { OutputVocabulary } from "./vocabulary/output-vocabulary.ts";
import { readTokenizerFile, withTokens } from "./vocabulary/tokenizer-file.ts";

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
  for (const name of await tokenizerFiles(folder)) await rm(join(folder, name));
  for (const name of await tokenizerFiles(vocabulary.folder)) {
    // The other lists of tokens are left out where tokens were added or taken out.
    if (!(changed && TOKEN_LISTS.includes(name)))
      await copyFileAtomic(join(vocabulary.folder, name), join(folder, name));
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

type Templates = ReadonlyMap<string, TemplateSource>;

/** The chosen template, or those of the tokenizer's model, in files of their own. */
async function writeTemplate({ config, models, base, donor, vocabulary }: MergePlan, folder: string): Promise<void> {
  const own = vocabulary?.folder ?? donor.folder;
  const templates = await chosenTemplates(config.chat_template, own, [
    ...models,
    ...(base === undefined ? [] : [base]),
  ]);
  for (const name of [PROCESSOR_TEMPLATE_FILE, PROCESSOR_CONFIG, TOKENIZER_CONFIG]) {
    await editJson(join(folder, name), withoutTemplate);
  }
  await rm(join(folder, PROCESSOR_TEMPLATE_FILE), { force: true });
  await rm(join(folder, TEMPLATE_FILE), { force: true });
  await rm(join(folder, TEMPLATE_FOLDER), { recursive: true, force: true });
  for (const [name, { path, source }] of templates) {
    await writeFileAtomic(join(folder, templateFileName(name, path)), source);
  }
}

function withoutTemplate(document: JsonObject): JsonObject {
  const rest = new Map(document);
  rest.delete("chat_template");
  return rest;
}

async function chosenTemplates(
  setting: string | undefined,
  own: string,
  inputs: readonly { readonly folder: string }[],
): Promise<Templates> {
  if (setting === undefined) return readTemplates(own);
  if (setting !== "auto") {
    return new Map([[DEFAULT_TEMPLATE, { path: own, source: CHAT_TEMPLATES[setting] ?? setting }]]);
  }
  return (await mostFrequent(inputs.map(({ folder }) => folder))) ?? (await readTemplates(own));
}

/** Models are counted by their default templates. */
async function mostFrequent(folders: readonly string[]): Promise<Templates | undefined> {
  const counts = new Map<string, { readonly templates: Templates; count: number }>();
  for (const folder of folders) {
    const templates = await readTemplates(folder);
    const source = templates.get(DEFAULT_TEMPLATE)?.source;
    if (source === undefined) continue;
    const counted = counts.get(source) ?? { templates, count: 0 };
    counted.count += 1;
    counts.set(source, counted);
  }
  return [...counts.values()].sort((a, b) => b.count - a.count)[0]?.templates;
}

/** Where transformers looks for a template of that name. */
function templateFileName(name: string, path: string): string {
  if (name === DEFAULT_TEMPLATE) return TEMPLATE_FILE;
  if (!/^[\w.-]+$/.test(name)) {
    throw inputError(
      path,
      `expected the name of a template to be letters, digits, ".", "_" and "-", found ${JSON.stringify(name)}`,
    );
  }
  return `${TEMPLATE_FOLDER}/${name}${TEMPLATE_SUFFIX}`;
}

/** Leaves a file that is not there alone. */
async function editJson(path: string, edit: (document: JsonObject) => JsonObject): Promise<void> {
  if (!(await exists(path))) return;
  const document = await readJsonDocument(path);
  if (isJsonObject(document)) await writeJsonDocument(path, edit(document));
}
