/**
 * Token ids in the configs of an output whose tokenizer is another model's than its config. Those that begin, end and
 * pad texts are that model's, for generation has to stop where its turns end; all others name tokens of the donor, and
 * follow their spellings.
 */
import { join } from "node:path";
import {
  isJsonNumber,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  jsonNumber,
  numberOf,
} from "../../formats/json-document.ts";
import { TOKENIZER_CONFIG } from "../../models/tokenizer-files.ts";
import { hasTokenizer } from "../../tokenizer/tokenizer-source.ts";
import { languagePath, sectionsOf } from "../inputs/model-config.ts";
import type { OutputVocabulary } from "../vocabulary/output-vocabulary.ts";
import { readTokenizerOf } from "../vocabulary/tokenizer-file.ts";
import { editDocument, readDocument } from "./edit-document.ts";

const CONFIG = "config.json";
const GENERATION_CONFIG = "generation_config.json";
/** An id or a list of them. */
const ID_KEY = /_token_(id|index|ids)$|^(begin_)?suppress_tokens$/;
const ROLES = ["bos", "eos", "pad"];

type Translate = (id: number) => number | null;

/** `donor` is the folder that the configs came from. */
export async function writeTokenIds(vocabulary: OutputVocabulary, donor: string, folder: string): Promise<void> {
  const [config, generation, tokenizer] = await Promise.all([
    readDocument(join(vocabulary.modelFolder, CONFIG)),
    readDocument(join(vocabulary.modelFolder, GENERATION_CONFIG)),
    readDocument(join(vocabulary.folder, TOKENIZER_CONFIG)),
  ]);
  const translate = await translation(vocabulary, donor);
  const edit = (name: string, sources: readonly JsonObject[]): Promise<void> => {
    const roles = rolesOf(sources, tokenizer, vocabulary);
    return editDocument(join(folder, name), (old) => withRoles(withIds(old, translate, roles), roles));
  };
  await edit(CONFIG, [config, generation]);
  await edit(GENERATION_CONFIG, [generation, config]);
}

/** From the donor's ids; null where the new vocabulary lacks a token. Undefined where the donor's are not known. */
async function translation({ tokens }: OutputVocabulary, donor: string): Promise<Translate | undefined> {
  if (!(await hasTokenizer(donor))) return undefined;
  const spelled = new Map<number, string>();
  for (const [token, id] of (await readTokenizerOf(donor)).vocabulary) spelled.set(id, token);
  return (id) => tokens.get(spelled.get(id) ?? "") ?? null;
}

/** What the tokenizer's own model says of the ids: the first of its files that does, else the tokenizer by its names. */
function rolesOf(
  sources: readonly JsonObject[],
  tokenizer: JsonObject,
  { tokens }: OutputVocabulary,
): ReadonlyMap<string, JsonValue> {
  const roles = new Map<string, JsonValue>();
  for (const role of ROLES) {
    const key = `${role}_token_id`;
    const told = sources
      .flatMap((source) => sectionsOf(source).map((section) => section.get(key) ?? null))
      .find((value) => value !== null);
    const token = tokenizer.get(`${role}_token`);
    const content = isJsonObject(token) ? token.get("content") : token;
    const id = typeof content === "string" ? tokens.get(content) : undefined;
    if (told !== undefined) roles.set(key, told);
    else if (id !== undefined) roles.set(key, jsonNumber(id));
  }
  return roles;
}

/** The document and its language section with ids of the new vocabulary; roles are set where they stand. */
function withIds(
  document: JsonObject,
  translate: Translate | undefined,
  roles: ReadonlyMap<string, JsonValue>,
): JsonObject {
  const result = new Map(document);
  const sections = [result];
  for (const key of languagePath(document)) {
    const inner = new Map(sections.at(-1)!.get(key) as JsonObject);
    sections.at(-1)!.set(key, inner);
    sections.push(inner);
  }
  const translated = (value: JsonValue): JsonValue => {
    if (translate === undefined || !isJsonNumber(value)) return value;
    const id = translate(numberOf(value));
    return id === null ? null : jsonNumber(id);
  };
  for (const section of sections) {
    for (const [key, value] of section) {
      if (!ID_KEY.test(key)) continue;
      const own = Array.isArray(value) ? value.map(translated).filter((id) => id !== null) : translated(value);
      section.set(key, roles.get(key) ?? own);
    }
  }
  return result;
}

/** What ends a text is said also where the donor did not say it. */
function withRoles(document: JsonObject, roles: ReadonlyMap<string, JsonValue>): JsonObject {
  const end = roles.get("eos_token_id");
  const isSaid = sectionsOf(document).some((section) => section.has("eos_token_id"));
  return end === undefined || isSaid ? document : new Map(document).set("eos_token_id", end);
}
