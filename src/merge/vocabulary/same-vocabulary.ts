/**
 * Whether models speak of the same tokens. Weights of vocabulary tensors are merged row by row, and row 17 has to be
 * the same token in every model: two tokenizers of equal size and other ids would merge without a complaint into a
 * model that talks nonsense.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { exists, fileError } from "../../formats/files.ts";
import { readTokenizerOf } from "./tokenizer-file.ts";

export interface NamedFolder {
  readonly name: string;
  readonly folder: string;
}

/** Forms of tokenizers that are not read here; files of equal bytes are equal all the same. */
const UNREAD_FORMS = ["spiece.model", "sentencepiece.bpe.model", "tekken.json", "vocab.json", "vocab.txt"];
const FORMS = ["tokenizer.json", "tokenizer.model", ...UNREAD_FORMS];

interface TokenList extends NamedFolder {
  readonly file: string;
  readonly bytes: Buffer;
}

/**
 * Throws where a model's tokenizer gives a token another id than the first model's, or lacks it. Returns what the user
 * should hear: which tokenizers could not be compared.
 */
export async function checkSameVocabulary(models: readonly NamedFolder[]): Promise<string[]> {
  const lists: TokenList[] = [];
  for (const model of models) {
    const list = await tokenListOf(model);
    if (list !== undefined) lists.push(list);
  }
  const first = lists[0];
  if (first === undefined) return [];
  const others = lists.filter(({ file, bytes }) => file !== first.file || !bytes.equals(first.bytes));
  const unread = [first, ...others].filter(({ file }) => UNREAD_FORMS.includes(file));
  const unknown = unread.includes(first) ? others : unread;
  const readable = others.filter((list) => !unknown.includes(list));
  const expected = readable.length === 0 ? new Map() : (await readTokenizerOf(first.folder)).vocabulary;
  for (const { name, folder, file } of readable) {
    const difference = firstDifference(expected, (await readTokenizerOf(folder)).vocabulary);
    if (difference === undefined) continue;
    const { token, left, right } = difference;
    const place = (id: number | undefined): string => (id === undefined ? "absent" : `${id}`);
    throw inputError(
      join(folder, file),
      `expected the tokens of ${first.name}, but the id of ${JSON.stringify(token)} is ${place(left)} there and ` +
        `${place(right)} in ${name}; say with tokenizer which vocabulary the result has`,
    );
  }
  return unknown.map(
    ({ name, file }) =>
      `${name}: whether its tokens are those of ${first.name} cannot be told from ${file}; with a tokenizer.json in ` +
      "both it can (AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers)",
  );
}

/** The first form that is there; undefined for a folder without tokenizer. */
async function tokenListOf(model: NamedFolder): Promise<TokenList | undefined> {
  for (const file of FORMS) {
    const path = join(model.folder, file);
    if (!(await exists(path))) continue;
    try {
      return { ...model, file, bytes: await readFile(path) };
    } catch (error) {
      throw fileError(path, error);
    }
  }
  return undefined;
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
