/**
 * Whether models speak of the same tokens. Weights of vocabulary tensors are merged row by row, and row 17 has to be
 * the same token in every model: two tokenizers of equal size and other ids would merge without a complaint into a
 * model that talks nonsense.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { exists, fileError } from "../../formats/files.ts";
import { readVocabulary } from "./tokenizer-file.ts";

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
        `${place(right)} in ${name}; say with tokenizer which vocabulary the result has`,
    );
  }
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
