/** The roles of special tokens, gathered from the files of a model folder: where a text begins, where an answer ends. */

import { join } from "node:path";
import { z } from "zod";
import { inputError } from "../errors.ts";
import { exists, readJson } from "../formats/files.ts";
import { firstIssue } from "../issue.ts";
import { type NamedTokens, readNamedTokens } from "./added-tokens.ts";
import { LARGEST_ID } from "./definition.ts";
import { hasTokenizer, readTokenizerSource, type TokenizerSource } from "./tokenizer-source.ts";

export interface SpecialTokens {
  readonly bos: number | null;
  readonly eos: number | null;
  /** Ids at which generation ends: the eos of every file that names one, tokenizer first. */
  readonly stopIds: readonly number[];
}

const id = z.number().int().min(0).max(LARGEST_ID);
const ids = z.union([id, z.array(id)]).nullish();

const generationFile = z.looseObject({ bos_token_id: ids, eos_token_id: ids });
const tokenizerFile = z.looseObject({
  added_tokens: z.array(z.looseObject({ id, content: z.string() })).nullish(),
  model: z.looseObject({ vocab: z.looseObject({}).nullish().catch(null) }).nullish(),
});

/** Reads the tokenizer's files, generation_config.json and config.json, each where it exists. */
export async function readSpecialTokens(folder: string): Promise<SpecialTokens> {
  const names = await readNamedTokens(folder);
  const generation = await readOptional(join(folder, "generation_config.json"), generationFile);
  const config = await readOptional(join(folder, "config.json"), generationFile);
  const isNamed = names.roles.has("bos_token") || names.roles.has("eos_token");
  const source = isNamed && (await hasTokenizer(folder)) ? await readTokenizerSource(folder) : null;
  const bos = [
    ...idsOf(names.roles.get("bos_token"), names, source),
    ...list(generation?.bos_token_id),
    ...list(config?.bos_token_id),
  ];
  const eos = [
    ...idsOf(names.roles.get("eos_token"), names, source),
    ...list(generation?.eos_token_id),
    ...list(config?.eos_token_id),
  ];
  return { bos: bos[0] ?? null, eos: eos[0] ?? null, stopIds: [...new Set(eos)] };
}

/** The text of a token that a file gives as a string or as an object. */
export function contentOf(value: string | { readonly content: string } | null | undefined): string | undefined {
  return typeof value === "string" ? value : value?.content;
}

async function readOptional<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  if (!(await exists(path))) return undefined;
  const parsed = schema.safeParse(await readJson(path));
  if (parsed.success) return parsed.data;
  const { place, problem } = firstIssue(parsed.error);
  throw inputError(path, `${place || "the file"}: ${problem}`);
}

function list(value: z.infer<typeof ids>): readonly number[] {
  return value === null || value === undefined ? [] : Array.isArray(value) ? value : [value];
}

/** What the tokenizer itself has counts before what the configuration says of it, as in transformers. */
function idsOf(
  content: string | undefined,
  { decoder, legacy }: NamedTokens,
  source: TokenizerSource | null,
): number[] {
  if (content === undefined) return [];
  const own = source === null ? undefined : idIn(source, content);
  const id =
    own ?? [...(decoder ?? []), ...legacy].find((entry) => entry.content === content && entry.id <= LARGEST_ID)?.id;
  return id === undefined ? [] : [id];
}

function idIn({ file, tables, path }: TokenizerSource, content: string): number | undefined {
  const parsed = tokenizerFile.safeParse(file);
  if (!parsed.success) throw inputError(path, "not a tokenizer: expected a list of added_tokens");
  const added = parsed.data.added_tokens?.find((entry) => entry.content === content);
  if (added !== undefined) return added.id;
  for (const [piece, id] of tables?.vocabulary.entries() ?? Object.entries(parsed.data.model?.vocab ?? {})) {
    if (piece === content) return typeof id === "number" ? id : undefined;
  }
  return undefined;
}
