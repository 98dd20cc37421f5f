/**
 * The files of a model folder that are not weights and that the model does not load without: config, generation config,
 * tokenizer and chat template, the preparation of pictures, the pooling of sentence encoders, its own code.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { copyFileAtomic, exists, readJsonDocument, writeJsonDocument } from "../formats/files.ts";
import { isJsonObject, type JsonObject } from "../formats/json-document.ts";
import { writeDerivedTokenizer } from "../tokenizer/tokenizer-source.ts";
import { PROCESSOR_CONFIG, tokenizerFiles } from "./tokenizer-files.ts";

const CONFIG = "config.json";

/** Besides config, tokenizer and templates. */
export const MODEL_FILES: readonly string[] = [
  "generation_config.json",
  "preprocessor_config.json",
  PROCESSOR_CONFIG,
  "video_preprocessor_config.json",
  "modules.json",
  "sentence_bert_config.json",
  "config_sentence_transformers.json",
  "1_Pooling/config.json",
];

export interface ConfigOverrides {
  /** The dtype the weights are written in, by its name in PyTorch. */
  readonly torch_dtype?: string;
}

/**
 * Copies all of them that are there into `to`, which is made where it is missing; `config.json` must be there and takes
 * the overrides. A tokenizer that is a `tokenizer.model` alone gets the `tokenizer.json` derived from it beside it. Every
 * file appears whole or not at all.
 */
export async function copyModelFiles(from: string, to: string, overrides: ConfigOverrides = {}): Promise<void> {
  const config = await readJsonDocument(join(from, CONFIG));
  if (!isJsonObject(config)) throw inputError(join(from, CONFIG), "expected a JSON object");
  await writeJsonDocument(join(to, CONFIG), withOverrides(config, overrides));
  const code = config.has("auto_map") ? await codeFiles(from) : [];
  for (const name of [...MODEL_FILES, ...(await tokenizerFiles(from)), ...code]) {
    if (await exists(join(from, name))) await copyFileAtomic(join(from, name), join(to, name));
  }
  await writeDerivedTokenizer(from, to);
}

/** A config with an `auto_map` names classes in them. */
async function codeFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory() && entry.name.endsWith(".py")).map(({ name }) => name);
}

/** Newer configs say `dtype` for `torch_dtype`; whichever is there is replaced, so that the two never disagree. */
function withOverrides(config: JsonObject, { torch_dtype: dtype }: ConfigOverrides): JsonObject {
  const result = new Map(config);
  if (dtype === undefined) return result;
  if (config.has("dtype")) result.set("dtype", dtype);
  if (config.has("torch_dtype") || !config.has("dtype")) result.set("torch_dtype", dtype);
  return result;
}
