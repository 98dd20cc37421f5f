/**
 * What a merge reads of a `config.json`. Models of several parts (pictures, sound) keep the language model's settings
 * in a section of their own; a setting that a published config leaves out has the default of its class, which is not
 * known here.
 */
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { exists, readJsonDocument } from "../../formats/files.ts";
import { isJsonNumber, isJsonObject, type JsonObject, numberOf } from "../../formats/json-document.ts";

/** Empty where the folder has none. */
export async function readModelConfig(folder: string): Promise<JsonObject> {
  const path = join(folder, "config.json");
  if (!(await exists(path))) return new Map();
  const document = await readJsonDocument(path);
  if (!isJsonObject(document)) throw inputError(path, "expected a JSON object");
  return document;
}

/** Sections of the language model, the outer ones first: `thinker_config` of models that also speak has a text_config. */
const LANGUAGE_SECTIONS = ["thinker_config", "text_config", "llm_config", "language_config"];

/** Keys that lead to the language model's settings; none where they are the config's own. */
export function languagePath(config: JsonObject): readonly string[] {
  const path: string[] = [];
  let section = config;
  for (const key of LANGUAGE_SECTIONS) {
    const inner = section.get(key);
    if (!isJsonObject(inner)) continue;
    path.push(key);
    section = inner;
  }
  return path;
}

/** The config itself, and every section on the way to the language model's settings, which come last. */
export function sectionsOf(config: JsonObject): readonly JsonObject[] {
  const sections = [config];
  for (const key of languagePath(config)) sections.push(sections.at(-1)!.get(key) as JsonObject);
  return sections;
}

/** Whole numbers of the config and its language model whose keys fit. */
export function wholeNumbers(config: JsonObject, pattern: RegExp): number[] {
  return sectionsOf(config).flatMap((section) =>
    [...section].flatMap(([key, value]) =>
      pattern.test(key) && isJsonNumber(value) && Number.isInteger(numberOf(value)) ? [numberOf(value)] : [],
    ),
  );
}

/** `tie_word_embeddings`: the outermost that is there; undefined where the class decides. */
export function tiedFlag(config: JsonObject): boolean | undefined {
  const flags = sectionsOf(config).map((section) => section.get("tie_word_embeddings"));
  return flags.find((flag) => typeof flag === "boolean");
}

/** True of classes that have a head over the vocabulary, so that one without a tensor of its own is tied. */
export function hasLanguageHead(config: JsonObject): boolean {
  const classes = config.get("architectures");
  return Array.isArray(classes) && /(ForCausalLM|LMHeadModel|ForConditionalGeneration)$/.test(String(classes[0] ?? ""));
}
