/**
 * The tokens of a tokenizer folder as bytes, without the library that encodes texts: where only tokens are looked up,
 * its 25 to 110 MB are not worth having.
 */
import { inputError } from "../errors.ts";
import { resolveAddedTokens } from "./added-tokens.ts";
import { addedTokenEntry, readDefinition, type TokenizerDefinition } from "./definition.ts";
import type { TablesApart } from "./model-tables.ts";
import { RANK_ADDED, RANK_NONE, spellingOfPiece, type TokenBytes, tokenBytesOf } from "./token-bytes.ts";
import type { TokenTable } from "./tokenizer.ts";
import { readTokenizerSource } from "./tokenizer-source.ts";

/** The tokenizer of a folder, with the added tokens and the prefix that its other files ask for, and what it says. */
export interface TokenizerFile extends TablesApart {
  /** The file that was read, for messages. */
  readonly path: string;
  readonly definition: TokenizerDefinition;
  readonly sha256: string;
  /** Spellings that are named as special but have no id. */
  readonly withoutId: readonly string[];
}

export async function readTokenizerFile(folder: string): Promise<TokenizerFile> {
  const { path, file, tables, sha256, named, more } = await readTokenizerSource(folder);
  const read = readDefinition({ file, tables }, path);
  // Few folders name a token that no list has, so the table of all pieces waits for one.
  let pieces: ReadonlyMap<string, number> | undefined;
  const idOf = (content: string): number | undefined => {
    pieces ??= new Map(read.vocabulary);
    return pieces.get(content);
  };
  const contents = new Set(read.addedTokens.map(({ content }) => content));
  const listed = [
    ...read.addedTokens,
    ...more.filter(({ id, content }) => !contents.has(content) && idOf(content) === id),
  ];
  const { addedTokens, withoutId } = resolveAddedTokens(listed, named, idOf);
  const definition = { ...read, addedTokens };
  checkAddedTokens(definition, path);
  const completed = { ...file, added_tokens: addedTokens.map(addedTokenEntry) };
  return { path, file: completed, tables, definition, sha256, withoutId };
}

/** An id is one token's and a spelling has one id: nothing that a second file adds takes a piece away. */
function checkAddedTokens({ vocabulary, addedTokens }: TokenizerDefinition, path: string): void {
  const contents = new Map(addedTokens.map(({ id, content }) => [id, content]));
  const ids = new Map(addedTokens.map(({ id, content }) => [content, id]));
  const refused = (content: string, id: number, other: string, otherId: number): Error =>
    inputError(
      path,
      `the added token ${JSON.stringify(content)} has the id ${id}, but ${JSON.stringify(other)} has ${otherId}`,
    );
  for (const { id, content } of addedTokens) {
    if (contents.get(id) !== content) throw refused(content, id, contents.get(id)!, id);
    if (ids.get(content) !== id) throw refused(content, id, content, ids.get(content)!);
  }
  for (const [piece, id] of vocabulary) {
    const content = contents.get(id);
    if (content !== undefined && content !== piece) throw refused(content, id, piece, id);
    const added = ids.get(piece);
    if (added !== undefined && added !== id) throw refused(piece, added, piece, id);
  }
}

/** What a table is made of; crosses between threads. */
export interface TokenTableParts {
  readonly sha256: string;
  readonly family: TokenizerDefinition["family"];
  readonly tokens: TokenBytes;
  /** Ids of special tokens. */
  readonly special: ReadonlySet<number>;
  /** The spelling of tokens whose bytes do not tell it. */
  readonly spellings: ReadonlyMap<number, string>;
}

/** Reads the tokens of a folder; refuses what byte spans cannot follow. */
export async function readTokenTableParts(folder: string): Promise<TokenTableParts> {
  const { definition, sha256 } = await readTokenizerFile(folder);
  return tablePartsOf(definition, tokenBytesOf(definition), sha256);
}

export function tablePartsOf(definition: TokenizerDefinition, tokens: TokenBytes, sha256: string): TokenTableParts {
  const { family, addedTokens } = definition;
  const special = new Set(addedTokens.filter((token) => token.special).map(({ id }) => id));
  return { sha256, family, tokens, special, spellings: unlikePieces(definition, tokens) };
}

export function createTokenTable({ sha256, family, tokens, special, spellings }: TokenTableParts): TokenTable {
  const { bytes, start, rank } = tokens;
  const size = rank.length;
  const tokenBytes = (id: number): Uint8Array | null => {
    if ((rank[id] ?? RANK_NONE) === RANK_NONE || special.has(id)) return null;
    return bytes.subarray(start[id], start[id + 1]);
  };
  return {
    size,
    sha256,
    tokenBytes,
    tokenText: (id) => {
      const text = spellings.get(id);
      if (text !== undefined || (rank[id] ?? RANK_NONE) === RANK_NONE) return text ?? null;
      return spellingOfPiece(bytes.subarray(start[id], start[id + 1]), rank[id]!, family);
    },
    isSpecial: (id) => special.has(id),
    isAdded: (id) => rank[id] === RANK_ADDED,
    tokenRank: (id) => rank[id] ?? RANK_NONE,
    decode: (ids) => {
      const parts: Uint8Array[] = [];
      for (let i = 0; i < ids.length; i++) parts.push(tokenBytes(ids[i]!) ?? new Uint8Array(0));
      return Buffer.concat(parts).toString("utf8");
    },
  };
}

/** The tokens whose spelling in the file their bytes do not give back: added ones, and pieces that mean no bytes. */
function unlikePieces(
  { vocabulary, addedTokens, family }: TokenizerDefinition,
  tokens: TokenBytes,
): Map<number, string> {
  const { bytes, start, rank } = tokens;
  const unlike = new Map<number, string>();
  for (const [piece, id] of vocabulary) {
    const known = rank[id] !== RANK_NONE;
    if (known && spellingOfPiece(bytes.subarray(start[id], start[id + 1]), rank[id]!, family) === piece) continue;
    unlike.set(id, piece);
  }
  for (const { id, content } of addedTokens) unlike.set(id, content);
  return unlike;
}
