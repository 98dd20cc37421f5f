/** `tokenizer.json` as far as merging reads and changes it: which tokens there are, and their ids. */
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { exists, readJson } from "../../formats/files.ts";
import { isRecord } from "../complaints.ts";

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
  readonly document: Readonly<Record<string, unknown>>;
  /** Of `model.vocab` (a mapping, or a list of pairs for Unigram) and of the added tokens. */
  readonly vocabulary: Vocabulary;
}

export async function readTokenizerFile(path: string): Promise<TokenizerFile> {
  const document = await readJson(path);
  const model = isRecord(document) ? document.model : undefined;
  const vocab = isRecord(model) ? model.vocab : undefined;
  const vocabulary = new Map<string, number>();
  if (Array.isArray(vocab)) vocab.forEach((entry, id) => void vocabulary.set(String([entry].flat()[0]), id));
  else if (isRecord(vocab)) for (const [token, id] of Object.entries(vocab)) vocabulary.set(token, Number(id));
  else throw inputError(path, "expected a tokenizer with model.vocab, found none");
  for (const { content, id } of addedTokens(document as Record<string, unknown>)) vocabulary.set(content, id);
  return { path, document: document as Record<string, unknown>, vocabulary };
}

export async function readVocabulary(path: string): Promise<Vocabulary> {
  return (await readTokenizerFile(path)).vocabulary;
}

/** The tokenizer of a model folder, which must have one. */
export async function readTokenizerOf(folder: string): Promise<TokenizerFile> {
  const path = join(folder, "tokenizer.json");
  if (!(await exists(path))) {
    throw inputError(folder, "expected a tokenizer.json, which bringing models to one vocabulary needs, found none");
  }
  return readTokenizerFile(path);
}

export interface AddedToken extends Readonly<Record<string, unknown>> {
  readonly content: string;
  readonly id: number;
}

export function addedTokens(document: Readonly<Record<string, unknown>>): AddedToken[] {
  const list = Array.isArray(document.added_tokens) ? document.added_tokens : [];
  return list.filter(
    (token): token is AddedToken => isRecord(token) && typeof token.content === "string" && Number.isInteger(token.id),
  );
}

/** The document with other tokens: those of ids from `end` on are gone, and `added` are there. */
export function withTokens(
  document: Readonly<Record<string, unknown>>,
  end: number,
  added: readonly AddedToken[],
): Record<string, unknown> {
  const model = document.model as Record<string, unknown>;
  const { vocab, merges } = model;
  const kept = Array.isArray(vocab)
    ? vocab.slice(0, end)
    : Object.fromEntries(Object.entries(vocab as Record<string, number>).filter(([, id]) => id < end));
  const isKept = (merge: unknown): boolean => {
    const token = typeof merge === "string" ? merge.replace(" ", "") : Array.isArray(merge) ? merge.join("") : "";
    return Object.hasOwn(kept as object, token);
  };
  return {
    ...document,
    added_tokens: [...addedTokens(document).filter(({ id }) => id < end), ...added],
    model: {
      ...model,
      vocab: kept,
      ...(Array.isArray(merges) && Number.isFinite(end) && { merges: merges.filter(isKept) }),
    },
  };
}
