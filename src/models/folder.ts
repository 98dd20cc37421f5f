/** The files of a model folder that are not weights: config, generation config, tokenizer and chat template. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { copyFileAtomic, exists, fileError, readJson, writeJson } from "../formats/files.ts";

const CONFIG = "config.json";

/** Tokenizer and chat template. */
export const TOKENIZER_FILES: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "tokenizer.model",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
];

const OTHER_FILES = ["generation_config.json", ...TOKENIZER_FILES];

export interface ConfigOverrides {
  /** The dtype the weights are written in, by its name in PyTorch. */
  readonly torch_dtype?: string;
}

/**
 * Copies all of them that are there into `to`, which is made where it is missing; `config.json` must be there and takes
 * the overrides. Every file appears whole or not at all.
 */
export async function copyModelFiles(from: string, to: string, overrides: ConfigOverrides = {}): Promise<void> {
  const config = await readJson(join(from, CONFIG));
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw inputError(join(from, CONFIG), "expected a JSON object");
  }
  try {
    await mkdir(to, { recursive: true });
  } catch (error) {
    throw fileError(to, error);
  }
  await writeJson(join(to, CONFIG), withOverrides(config as Readonly<Record<string, unknown>>, overrides));
  for (const name of OTHER_FILES) {
    if (await exists(join(from, name))) await copyFileAtomic(join(from, name), join(to, name));
  }
}

/** Newer configs say `dtype` for `torch_dtype`; whichever is there is replaced, so that the two never disagree. */
function withOverrides(config: Readonly<Record<string, unknown>>, overrides: ConfigOverrides): Record<string, unknown> {
  const { torch_dtype: dtype } = overrides;
  if (dtype === undefined) return { ...config };
  const renamed = Object.hasOwn(config, "dtype") ? { dtype } : {};
  const classic = Object.hasOwn(config, "torch_dtype") || !Object.hasOwn(config, "dtype") ? { torch_dtype: dtype } : {};
  return { ...config, ...renamed, ...classic };
}
