/**
 * Whether models speak of the same tokens. Weights of vocabulary tensors are merged row by row, and row 17 has to be
 * the same token in every model: two tokenizers of equal size and other ids would merge without a complaint into a
 * model that talks nonsense.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists, fileError, readJson } from "../formats/files.ts";
import { isRecord } from "./complaints.ts";

export interface NamedFolder {
  readonly name: string;
  readonly folder: string;
}

/** Throws where a model's `tokenizer.json` gives a token another id than the first model's, or lacks it. */
export async function checkSameVocabulary(models: readonly NamedFolder[]): Promise<void> {
  const files: { readonly name: string; readonly path: string; readonly bytes: Buffer }[] = [];
  for (const { name, folder } of models) {
    const path = join(folder, "tokenizer.json");
    if (!(await exists(path))) continue;
    try {
      files.push({ name, path, bytes: await readFile(path) });
    } catch (error) {
      throw fileError(path, error);
    }
  }
  const first = files[0];
  if (first === undefined) return;
  const others = files.filter(({ bytes }) => !bytes.equals(first.bytes));
  if (others.length === 0) return;
  const expected = await readVocabulary(first.path);
  for (const { name, path } of others) {
    const difference = firstDifference(expected, await readVocabulary(path));
    if (difference === undefined) continue;
    const { token, left, right } = difference;
    const place = (id: number | undefined): string => (id === undefined ? "absent" : `${id}`);
    throw inputError(
      path,
      `expected the tokens of ${first.name}, but the id of ${JSON.stringify(token)} is ${place(left)} there and ` +
        `${place(right)} in ${name}; models with different tokenizers cannot be merged yet`,
    );
  }
}

/** Token to id, of `model.vocab` (a mapping, or a list of pairs for Unigram) and of the added tokens. */
async function readVocabulary(path: string): Promise<ReadonlyMap<string, number>> {
  const document = await readJson(path);
  const model = isRecord(document) ? document.model : undefined;
  const vocabulary = isRecord(model) ? model.vocab : undefined;
  const ids = new Map<string, number>();
  if (Array.isArray(vocabulary)) vocabulary.forEach((entry, id) => void ids.set(String([entry].flat()[0]), id));
  else if (isRecord(vocabulary)) for (const [token, id] of Object.entries(vocabulary)) ids.set(token, Number(id));
  else throw inputError(path, "expected a tokenizer with model.vocab, found none");
  const added = isRecord(document) && Array.isArray(document.added_tokens) ? document.added_tokens : [];
  for (const token of added) {
    if (isRecord(token) && typeof token.content === "string") ids.set(token.content, Number(token.id));
  }
  return ids;
}

function firstDifference(
  expected: ReadonlyMap<string, number>,
  found: ReadonlyMap<string, number>,
): { token: string; left: number | undefined; right: number | undefined } | undefined {
  for (const [token, left] of expected) {
    const right = found.get(token);
    if (right !== left) return { token, left, right };
  }
  for (const [token, right] of found) {
    if (!expected.has(token)) return { token, left: undefined, right };
  }
  return undefined;
}
