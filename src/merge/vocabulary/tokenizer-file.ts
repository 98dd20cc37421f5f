/** `tokenizer.json` as far as merging reads and changes it: which tokens there are, and their ids. */
import { join } from "node:path";
import { FusechatError, inputError } from "../../errors.ts";
import { exists, readJsonDocument } from "../../formats/files.ts";
import {
  isJsonNumber,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  numberOf,
  parseJsonDocument,
} from "../../formats/json-document.ts";
import { joinedJson } from "../../tokenizer/model-tables.ts";
import { hasTokenizer, readTokenizerSource } from "../../tokenizer/tokenizer-source.ts";

/** Token to id. */
export type Vocabulary = ReadonlyMap<string, number>;

/** Largest id + 1. */
export function sizeOf(vocabulary: Vocabulary): number {
  let size = 0;
  for (const id of vocabulary.values()) size = Math.max(size, id + 1);
  return size;
}

export interface TokenizerFile {
  readonly path: string;
  readonly document: JsonObject;
  /** Of `model.vocab` (a mapping, or a list of pairs for Unigram) and of the added tokens. */
  readonly vocabulary: Vocabulary;
}

export async function readTokenizerFile(path: string): Promise<TokenizerFile> {
  return tokenizerFile(path, await readJsonDocument(path));
}

function tokenizerFile(path: string, document: JsonValue): TokenizerFile {
  const model = isJsonObject(document) ? document.get("model") : undefined;
  const vocab = isJsonObject(model) ? model.get("vocab") : undefined;
  const vocabulary = new Map<string, number>();
  if (Array.isArray(vocab)) vocab.forEach((entry, id) => void vocabulary.set(String([entry].flat()[0]), id));
  else if (isJsonObject(vocab)) for (const [token, id] of vocab) vocabulary.set(token, idOf(id));
  if (vocab === undefined || !isJsonObject(document)) {
    throw inputError(path, "expected a tokenizer with model.vocab, found none");
  }
  for (const { content, id } of addedTokens(document)) vocabulary.set(content, id);
  return { path, document, vocabulary };
}

export function idOf(value: JsonValue): number {
  return isJsonNumber(value) ? numberOf(value) : Number.NaN;
}

/** The tokenizer of a model folder, which must have one: its `tokenizer.json`, or what its `tokenizer.model` implies. */
export async function readTokenizerOf(folder: string): Promise<TokenizerFile> {
  const path = join(folder, "tokenizer.json");
  if (await exists(path)) return readTokenizerFile(path);
  try {
    const derived = await readTokenizerSource(folder);
    const parsed = parseJsonDocument(joinedJson(derived));
    return tokenizerFile(derived.path, "value" in parsed ? parsed.value : null);
  } catch (error) {
    if (!(error instanceof FusechatError) || !(await hasTokenizer(folder))) throw error;
    throw new FusechatError(error.code, `${error.message}; ${ADVICE}`, error);
  }
}

const ADVICE =
  "with a tokenizer.json beside it this file is not read: AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers writes one";

export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** As the tokenizer describes it: how it is cut out of texts, whether it is special. */
  readonly entry: JsonObject;
}

export function addedTokens(document: JsonObject): AddedToken[] {
  const list = document.get("added_tokens");
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    const content = isJsonObject(entry) ? entry.get("content") : undefined;
    const id = isJsonObject(entry) ? entry.get("id") : undefined;
    if (typeof content !== "string" || !isJsonNumber(id) || !Number.isInteger(numberOf(id))) return [];
    return [{ content, id: numberOf(id), entry: entry as JsonObject }];
  });
}
