/**
 * Where a folder's tokenizer comes from: its `tokenizer.json`, or the one derived from a SentencePiece `tokenizer.model`
 * that stands alone. Both are the same to whoever reads them; the derived text is what is written beside outputs, and its
 * SHA-256 the tokenizer's identity, so that a folder and the copy of it that carries the text are one tokenizer.
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FusechatError, inputError, Limitation } from "../errors.ts";
import { exists, fileError, readBytes, readJson, sha256OfFile, writeFileAtomic } from "../formats/files.ts";
import { type NamedTokens, readNamedTokens } from "./added-tokens.ts";
import type { AddedToken } from "./definition.ts";
import { deriveTokenizerFile, ownTokensOf } from "./derived-file.ts";
import { parseApart, setApart, type TablesApart } from "./model-tables.ts";
import { isBuiltAnew, LLAMA, type PrefixSettings, readPrefixSettings, withPrefixSpace } from "./prefix-space.ts";
import { readSentencePieceModel } from "./sentencepiece-model.ts";

/** `tokenizer.json`, with the prefix that the configuration asks for. */
export interface TokenizerSource extends TablesApart {
  /** The file that was read. */
  readonly path: string;
  readonly sha256: string;
  readonly named: NamedTokens;
  /** Added tokens besides those of the file and the named ones. */
  readonly more: readonly AddedToken[];
}

const TOKENIZER = "tokenizer.json";
const SENTENCEPIECE = "tokenizer.model";

/** Other forms of tokenizers, to say what was found instead. */
const OTHER_FORMS = ["spiece.model", "sentencepiece.bpe.model", "tekken.json", "vocab.json", "vocab.txt", "merges.txt"];

export async function hasTokenizer(folder: string): Promise<boolean> {
  return (await exists(join(folder, TOKENIZER))) || (await exists(join(folder, SENTENCEPIECE)));
}

export async function readTokenizerSource(folder: string): Promise<TokenizerSource> {
  const path = join(folder, TOKENIZER);
  const named = await readNamedTokens(folder);
  const prefix = await readPrefixSettings(folder);
  const modelPath = join(folder, SENTENCEPIECE);
  const hasModel = await exists(modelPath);
  if (await exists(path)) {
    const { file, tables } = await readFileApart(path);
    const isPrefixed = hasModel && isBuiltAnew(file, prefix, path);
    const more = isPrefixed ? ownTokensOf((await readSentencePieceModel(modelPath)).pieces) : [];
    return { path, file: withPrefixSpace(file, prefix, path), tables, sha256: await sha256OfFile(path), named, more };
  }
  if (!hasModel) throw await noTokenizer(folder);
  const file = await derive(folder, named, prefix);
  const sha256 = createHash("sha256").update(textOf(file)).digest("hex");
  return { path: modelPath, ...setApart(file), sha256, named, more: [] };
}

async function readFileApart(path: string): Promise<TablesApart> {
  const apart = parseApart(await readBytes(path), path);
  if (apart !== null) return apart;
  const file = await readJson(path);
  if (typeof file !== "object" || file === null) throw inputError(path, "not a tokenizer: expected a JSON object");
  return setApart(file);
}

/**
 * Writes the `tokenizer.json` that `from` implies into `to`, so that the copy of a model loads everywhere. Does nothing
 * where `from` has one; and a `tokenizer.model` that cannot be used here is none of the business of who copies a model.
 */
export async function writeDerivedTokenizer(from: string, to: string): Promise<void> {
  if ((await exists(join(from, TOKENIZER))) || !(await exists(join(from, SENTENCEPIECE)))) return;
  let file: object;
  try {
    file = await derive(from, await readNamedTokens(from), await readPrefixSettings(from));
  } catch (error) {
    if (error instanceof FusechatError) return;
    throw error;
  }
  await writeFileAtomic(join(to, TOKENIZER), textOf(file));
}

async function derive(folder: string, named: NamedTokens, prefix: PrefixSettings): Promise<object> {
  const path = join(folder, SENTENCEPIECE);
  const frame = {
    bos: prefix.addBosToken ?? prefix.tokenizerClass === LLAMA,
    eos: prefix.addEosToken ?? false,
  };
  return deriveTokenizerFile({ model: await readSentencePieceModel(path), named, prefix, frame }, path);
}

function textOf(file: object): string {
  return `${JSON.stringify(file)}\n`;
}

async function noTokenizer(folder: string): Promise<Error> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw fileError(folder, error);
  });
  const found = names.filter((name) => OTHER_FORMS.includes(name)).sort();
  const instead = found.length === 0 ? "neither" : found.join(", ");
  return new Limitation(
    folder,
    `no tokenizer: expected ${TOKENIZER} or a SentencePiece ${SENTENCEPIECE}, found ${instead}; ` +
      "copy them from where the model was published, or let transformers write them: " +
      "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
  );
}
