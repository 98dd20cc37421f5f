/**
 * The vocabulary that all models of a merge are brought to: that of base_model, of some model, or the union of all.
 * Tokens are compared by their spelling. Rows that a head or embedding has beyond the tokens are padding and dropped.
 */
import { inputError } from "../../errors.ts";
import { type JsonObject, jsonNumber } from "../../formats/json-document.ts";
import { findModel, type ModelPlaces } from "../../models/reference.ts";
import type { MergeConfig, TokenizerSetting } from "../config.ts";
import type { MergeInput } from "../inputs/input.ts";
import { mergesOf, type OrdinaryToken, type Pair, scoresOf, spellAlike, type TokenChanges } from "./change-tokens.ts";
import {
  type AddedToken,
  addedTokens,
  readTokenizerOf,
  sizeOf,
  type TokenizerFile,
  type Vocabulary,
} from "./tokenizer-file.ts";

export interface OutputVocabulary {
  readonly setting: TokenizerSetting;
  /** Token to id. */
  readonly tokens: Vocabulary;
  /** Of embedding and head, padding included. */
  readonly rows: number;
  /** Tokens of every input, and the inputs in the order of the configuration. */
  readonly inputs: ReadonlyMap<string, Vocabulary>;
  /** The input named by base_model. */
  readonly base: string | undefined;
  /** Whose tokenizer files the output's are made of, and what is changed in them. */
  readonly folder: string;
  /** Whose configs name its special tokens by id. */
  readonly modelFolder: string;
  readonly file: TokenizerFile;
  readonly changes: TokenChanges;
  readonly warnings: readonly string[];
}

export async function openVocabulary(
  setting: TokenizerSetting,
  inputs: ReadonlyMap<string, MergeInput>,
  donor: MergeInput,
  { base_model: base }: MergeConfig,
  places: ModelPlaces,
): Promise<OutputVocabulary> {
  const files = new Map<string, TokenizerFile>();
  for (const [name, input] of inputs) files.set(name, await readTokenizerOf(input.tokenizerFolder));
  const { source, tokens: settings = {}, pad_to_multiple_of: multiple = 1 } = setting;
  if (source === "base" && base === undefined) {
    throw inputError("tokenizer", "the source base needs base_model, found none");
  }
  const isWord = source === "base" || source === "union";
  const own = isWord ? donor : inputs.get(source);
  const foreign = own === undefined ? (await findModel(source, places)).folder : undefined;
  const folder = own?.tokenizerFolder ?? foreign!;
  const file = own === undefined ? await readTokenizerOf(folder) : files.get(own.name)!;
  // A token without a row in its own model is none, unless others may have one.
  const end = source === "union" || own === undefined ? Number.POSITIVE_INFINITY : rowsOf(own);

  const tokens = new Map<string, number>();
  for (const [token, id] of [...file.vocabulary].sort(([, a], [, b]) => a - b)) if (id < end) tokens.set(token, id);
  let next = sizeOf(tokens);
  const added: AddedToken[] = [];
  const ordinary: OrdinaryToken[] = [];
  const merges: Pair[] = [];
  const warnings: string[] = [];
  const add = (token: string, like: AddedToken | undefined): void => {
    if (tokens.has(token)) return;
    const entry = new Map([...(like?.entry ?? PLAIN_TOKEN)]).set("id", jsonNumber(next)).set("content", token);
    added.push({ content: token, id: next, entry });
    tokens.set(token, next++);
  };
  if (source === "union") {
    const known = new Set(mergesOf(file).map((pair) => pair.join(" ")));
    for (const [name, other] of files) {
      if (other === file) continue;
      const before = ordinary.length;
      const theirs = new Map(addedTokens(other.document).map((token) => [token.content, token]));
      const scores = scoresOf(other);
      for (const [token] of [...other.vocabulary].sort(([, a], [, b]) => a - b)) {
        if (theirs.has(token)) add(token, theirs.get(token));
        else if (!tokens.has(token)) {
          ordinary.push({ content: token, id: next, score: scores.get(token) });
          tokens.set(token, next++);
        }
      }
      if (spellAlike(file, other)) {
        const more = mergesOf(other).filter((pair) => !known.has(pair.join(" ")));
        for (const pair of more) {
          merges.push(pair);
          known.add(pair.join(" "));
        }
      } else if (ordinary.length > before) {
        warnings.push(
          `${name}: its tokenizer cuts texts in another way than that of ${own!.name}, which the result has: ` +
            `${ordinary.length - before} tokens get rows, and no text becomes them`,
        );
      }
    }
  }
  for (const token of Object.keys(settings)) add(token, undefined);
  return {
    setting,
    tokens,
    rows: Math.ceil(next / multiple) * multiple,
    inputs: new Map([...files].map(([name, { vocabulary }]) => [name, vocabulary])),
    base,
    folder,
    modelFolder: own?.folder ?? foreign!,
    file,
    changes: { end, added, ordinary, merges },
    warnings,
  };
}

/** In the order in which tokenizers write it. */
const PLAIN_TOKEN: JsonObject = new Map(
  ["id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"].map((key) => [key, false]),
);

/** Rows of a model's embedding and head. */
function rowsOf({ tensors, anatomy }: MergeInput): number {
  const rows = [...anatomy.vocabulary].map((name) => tensors.get(name)!.shape[0]!);
  return rows.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...rows);
}
