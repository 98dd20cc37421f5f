/**
 * The added tokens of a folder as transformers sees them. A text is searched for them before anything else, and four
 * files have a say: `tokenizer.json` lists them; `added_tokens_decoder` of `tokenizer_config.json` adds to the list and
 * overrides its flags; where there is no such table, `special_tokens_map.json` and `added_tokens.json` count instead;
 * and a token that is named (`eos_token` and its like) is an added and special token even where it stands in the
 * vocabulary alone.
 */

import { join } from "node:path";
import { z } from "zod";
import { inputError, Limitation } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { exists, readJson } from "../formats/files.ts";
import { problemOf } from "../issue.ts";
import { type AddedToken, LARGEST_ID } from "./definition.ts";

/** How a token is looked for in a text. */
type Flags = Pick<AddedToken, "singleWord" | "lstrip" | "rstrip" | "normalized">;

export interface NamedTokens {
  /** Role, such as `eos_token`, to the token's spelling. */
  readonly roles: ReadonlyMap<string, string>;
  /** All spellings that a role or a list of special tokens names; with flags where a file gives a token with its flags. */
  readonly named: ReadonlyMap<string, Flags | null>;
  /** Those of them that only some versions of transformers look at. */
  readonly optional: ReadonlySet<string>;
  /** What `added_tokens_decoder` lists, or null where there is no such table. */
  readonly decoder: readonly AddedToken[] | null;
  /** What `added_tokens.json` lists, where it counts. */
  readonly legacy: readonly AddedToken[];
}

export interface ResolvedTokens {
  readonly addedTokens: readonly AddedToken[];
  /** Spellings that are named but have no id: transformers would give them ids that the model was not made with. */
  readonly withoutId: readonly string[];
}

/** What the classes of transformers name where the configuration does not. */
const LLAMA: Naming = { unk_token: "<unk>", bos_token: "<s>", eos_token: "</s>" };
const GEMMA: Naming = { unk_token: "<unk>", bos_token: "<bos>", eos_token: "<eos>", pad_token: "<pad>" };
const GPT2: Naming = { unk_token: "<|endoftext|>", bos_token: "<|endoftext|>", eos_token: "<|endoftext|>" };
const QWEN2: Naming = { unk_token: "<|endoftext|>", eos_token: "<|endoftext|>", pad_token: "<|endoftext|>" };
const CLASS_DEFAULTS: ReadonlyMap<string, Naming> = new Map([
  ["LlamaTokenizer", LLAMA],
  ["CodeLlamaTokenizer", LLAMA],
  ["GemmaTokenizer", GEMMA],
  ["GPT2Tokenizer", GPT2],
  ["Qwen2Tokenizer", QWEN2],
]);

type Naming = Readonly<Record<string, string>>;

const ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
const LISTS = ["additional_special_tokens", "extra_special_tokens"];

const flagged = z.looseObject({
  content: z.string(),
  single_word: z.boolean().nullish(),
  lstrip: z.boolean().nullish(),
  rstrip: z.boolean().nullish(),
  normalized: z.boolean().nullish(),
  special: z.boolean().nullish(),
});

const named = z.union([z.string(), flagged]);

const decoderTable = z.record(z.string(), flagged);

/** Reads the names in the files beside `tokenizer.json`, each where it exists. */
export async function readNamedTokens(folder: string): Promise<NamedTokens> {
  const configPath = join(folder, "tokenizer_config.json");
  const config = await readObject(configPath);
  if (config.split_special_tokens === true) {
    throw new Limitation(configPath, "split_special_tokens is not supported: the markers of a template would be text");
  }
  const naming = new Map<string, z.infer<typeof named>>();
  const { tokenizer_class: ofClass } = config;
  const defaults = typeof ofClass === "string" ? CLASS_DEFAULTS.get(ofClass.replace(/Fast$/, "")) : undefined;
  for (const [role, content] of Object.entries(defaults ?? {})) naming.set(role, content);
  const listed: z.infer<typeof named>[] = [];
  const isTable = Object.hasOwn(config, "added_tokens_decoder");
  collectNames(config, configPath, naming, listed);
  const legacyPath = join(folder, "added_tokens.json");
  let legacy: readonly (readonly [string, unknown])[] = [];
  if (!isTable) {
    const mapPath = join(folder, "special_tokens_map.json");
    collectNames(await readObject(mapPath), mapPath, naming, listed);
    legacy = Object.entries(await readObject(legacyPath));
  }
  const roles = new Map([...naming].map(([role, token]) => [role, spellingOf(token)]));
  const all = new Map<string, Flags | null>();
  for (const token of [...naming.values(), ...listed]) {
    const content = spellingOf(token);
    if (content !== "") all.set(content, all.get(content) ?? (typeof token === "string" ? null : flagsOf(token, true)));
  }
  const optional = [...roles].flatMap(([role, content]) => (ROLES.includes(role) ? [] : [content]));
  return {
    roles,
    named: all,
    optional: new Set(optional),
    decoder: isTable ? decoderOf(config.added_tokens_decoder, configPath) : null,
    legacy: legacyTokens(legacy, all, legacyPath),
  };
}

/**
 * The added tokens that `listed` (those of `tokenizer.json`) and the names make, in the order in which they get their
 * ids. `idOf` looks a spelling up in the vocabulary.
 */
export function resolveAddedTokens(
  listed: readonly AddedToken[],
  { named, optional, decoder, legacy }: NamedTokens,
  idOf: (content: string) => number | undefined,
): ResolvedTokens {
  const table = new Map((decoder ?? []).map((token) => [token.content, token]));
  const known = new Set<string>();
  const resolve = (token: AddedToken): AddedToken => {
    known.add(token.content);
    const override = table.get(token.content);
    const flags = override ?? (decoder === null ? null : named.get(token.content)) ?? token;
    const special = token.special || override?.special === true || named.has(token.content);
    return { ...token, ...lookedForAs(flags), special };
  };
  const addedTokens = listed.map(resolve);
  const withoutId: string[] = [];
  for (const token of [...table.values(), ...legacy].sort((a, b) => a.id - b.id)) {
    if (known.has(token.content)) continue;
    if (token.id <= LARGEST_ID) addedTokens.push(resolve(token));
    else withoutId.push(token.content);
  }
  for (const [content, flags] of named) {
    if (known.has(content)) continue;
    const id = idOf(content);
    if (id === undefined) withoutId.push(...(optional.has(content) ? [] : [content]));
    else addedTokens.push({ id, content, ...(flags ?? PLAIN), special: true });
  }
  return { addedTokens, withoutId };
}

const PLAIN: Flags = { singleWord: false, lstrip: false, rstrip: false, normalized: false };

function lookedForAs({ singleWord, lstrip, rstrip, normalized }: Flags): Flags {
  return { singleWord, lstrip, rstrip, normalized };
}

function spellingOf(token: z.infer<typeof named>): string {
  return typeof token === "string" ? token : token.content;
}

/** Flags that are not given are those that transformers takes. */
function flagsOf(token: z.infer<typeof flagged>, special: boolean): Flags {
  return {
    singleWord: token.single_word ?? false,
    lstrip: token.lstrip ?? false,
    rstrip: token.rstrip ?? false,
    normalized: token.normalized ?? !special,
  };
}

/** Later files override the roles of earlier ones and add to their lists. */
function collectNames(
  file: Readonly<Record<string, unknown>>,
  path: string,
  naming: Map<string, z.infer<typeof named>>,
  listed: z.infer<typeof named>[],
): void {
  const read = (value: unknown, place: string): z.infer<typeof named> => {
    const token = named.safeParse(value);
    if (token.success) return token.data;
    throw inputError(path, `${place}: expected a token, found ${excerptOf(value)}`);
  };
  for (const [key, value] of Object.entries(file)) {
    // Models with pictures name tokens by keys of their own, such as image_token.
    const isOwnRole = key.endsWith("_token") && typeof value === "string";
    if (ROLES.includes(key) && value === null) naming.delete(key);
    else if (ROLES.includes(key) || isOwnRole) naming.set(key, read(value, key));
    else if (LISTS.includes(key) && Array.isArray(value)) listed.push(...value.map((entry) => read(entry, key)));
    else if (LISTS.includes(key) && typeof value === "object" && value !== null) {
      for (const [role, entry] of Object.entries(value)) listed.push(read(entry, `${key}.${role}`));
    }
  }
}

function decoderOf(table: unknown, path: string): AddedToken[] {
  const parsed = decoderTable.safeParse(table ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = ["added_tokens_decoder", ...(issue?.path ?? [])].join(".");
    throw inputError(path, `${place}: ${issue === undefined ? "expected a table of tokens" : problemOf(issue)}`);
  }
  return Object.entries(parsed.data).map(([key, token]) => {
    const special = token.special ?? false;
    return { id: idOf(key, token.content, path), content: token.content, ...flagsOf(token, special), special };
  });
}

function legacyTokens(
  entries: readonly (readonly [string, unknown])[],
  names: ReadonlyMap<string, unknown>,
  path: string,
): AddedToken[] {
  return entries.map(([content, id]) => {
    const special = names.has(content);
    return { id: idOf(id, content, path), content, ...PLAIN, normalized: !special, special };
  });
}

function idOf(value: unknown, content: string, path: string): number {
  // A table has its ids as names: digits alone, so that neither "1e3" nor "" is one.
  const id = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof id === "number" && Number.isSafeInteger(id) && id >= 0) return id;
  throw inputError(path, `expected an id for the added token ${JSON.stringify(content)}, found ${excerptOf(value)}`);
}

async function readObject(path: string): Promise<Readonly<Record<string, unknown>>> {
  if (!(await exists(path))) return {};
  const file = await readJson(path);
  if (typeof file === "object" && file !== null && !Array.isArray(file)) return file as Record<string, unknown>;
  throw inputError(path, "expected a JSON object");
}
