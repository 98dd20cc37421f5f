/**
 * The space that a tokenizer puts before a text, as `tokenizer_config.json` has it. transformers 4 lets `add_prefix_space`
 * overrule `tokenizer.json` in three ways: a pre-tokenizer that is a single `ByteLevel` takes the setting, missing means
 * no; two classes set it in every `ByteLevel`; and where a Llama tokenizer has the setting, it is built anew, with or
 * without the prefix, and with that of `legacy` (before every stretch of text) or the newer one (before the first).
 */

import { join } from "node:path";
import { inputError } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { exists, readJson } from "../formats/files.ts";
import { type Component, readSteps } from "./definition.ts";

export interface PrefixSettings {
  /** Class of the tokenizer in transformers, without `Fast`. */
  readonly tokenizerClass: string;
  /** Null where the file has it as null, which leaves a single `ByteLevel` as it is. */
  readonly addPrefixSpace: boolean | null | undefined;
  readonly legacy: boolean;
  /** Whether a text that is encoded alone gets a beginning and an end of its own. */
  readonly addBosToken: boolean | null | undefined;
  readonly addEosToken: boolean | null | undefined;
}

export const LLAMA = "LlamaTokenizer";
const SETS_ALL_STEPS = ["CohereTokenizer", "BloomTokenizer"];

export async function readPrefixSettings(folder: string): Promise<PrefixSettings> {
  const path = join(folder, "tokenizer_config.json");
  const file = (await exists(path)) ? await readJson(path) : {};
  const config: Readonly<Record<string, unknown>> = typeof file === "object" && file !== null ? { ...file } : {};
  const flag = (name: string): boolean | null | undefined => {
    const value = config[name];
    if (value === undefined || value === null || typeof value === "boolean") return value;
    throw inputError(path, `${name}: expected true or false, found ${excerptOf(value)}`);
  };
  return {
    tokenizerClass: className(config),
    addPrefixSpace: flag("add_prefix_space"),
    legacy: flag("legacy") ?? true,
    addBosToken: flag("add_bos_token"),
    addEosToken: flag("add_eos_token"),
  };
}

/** Without `Fast`; empty where it is no text. */
function className(config: Readonly<Record<string, unknown>>): string {
  const { tokenizer_class: name } = config;
  return typeof name === "string" ? name.replace(/Fast$/, "") : "";
}

/** The parsed `tokenizer.json` with the prefix that the settings ask for; the very file where nothing changes. */
export function withPrefixSpace(file: object, settings: PrefixSettings, path: string): object {
  const { tokenizerClass, addPrefixSpace, legacy } = settings;
  const { preTokenizers } = readSteps(file, path);
  const single = "pre_tokenizer" in file && isByteLevel(file.pre_tokenizer);
  if ((single && addPrefixSpace !== null) || (addPrefixSpace === true && SETS_ALL_STEPS.includes(tokenizerClass))) {
    const wanted = addPrefixSpace ?? false;
    const steps = preTokenizers.map((step) => (isByteLevel(step) ? { ...step, add_prefix_space: wanted } : step));
    if (steps.every((step, index) => step.add_prefix_space === preTokenizers[index]!.add_prefix_space)) return file;
    return { ...file, pre_tokenizer: sequence(steps) };
  }
  if (!isBuiltAnew(file, settings, path)) return file;
  return { ...file, ...llamaSteps(addPrefixSpace === true, legacy) };
}

/** Whether transformers builds it from `tokenizer.model`. A byte-level tokenizer under the name of Llama has no such file. */
export function isBuiltAnew(file: object, { tokenizerClass, addPrefixSpace }: PrefixSettings, path: string): boolean {
  if (tokenizerClass !== LLAMA || typeof addPrefixSpace !== "boolean") return false;
  return !readSteps(file, path).preTokenizers.some(isByteLevel);
}

/** Normaliser and pre-tokenizer of a SentencePiece model in the form of Llama's. */
export function llamaSteps(dummyPrefix: boolean, legacy: boolean): { normalizer: unknown; pre_tokenizer: unknown } {
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  if (!legacy) {
    const scheme = dummyPrefix ? "first" : "never";
    const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: false };
    return { normalizer: null, pre_tokenizer: metaspace };
  }
  const prepend = dummyPrefix ? [{ type: "Prepend", prepend: "▁" }] : [];
  return { normalizer: { type: "Sequence", normalizers: [...prepend, replace] }, pre_tokenizer: null };
}

/** The parsed file without any prefix: texts are encoded as if they stood inside another. */
export function withoutPrefix(file: object, path: string): object {
  const { normalisers, preTokenizers } = readSteps(file, path);
  const kept = normalisers.filter((step) => step.type !== "Prepend");
  const steps = preTokenizers.map((step) => {
    if (isByteLevel(step)) return { ...step, add_prefix_space: false };
    return step.type === "Metaspace" ? { ...step, prepend_scheme: "never", add_prefix_space: undefined } : step;
  });
  return {
    ...file,
    normalizer: kept.length === 0 ? null : { type: "Sequence", normalizers: kept },
    pre_tokenizer: sequence(steps),
  };
}

function isByteLevel(step: unknown): boolean {
  return typeof step === "object" && step !== null && "type" in step && step.type === "ByteLevel";
}

function sequence(steps: readonly Component[]): unknown {
  if (steps.length === 0) return null;
  return steps.length === 1 ? steps[0] : { type: "Sequence", pretokenizers: steps };
}
