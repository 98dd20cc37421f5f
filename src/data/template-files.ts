/**
 * The chat templates of a model folder and the special tokens that they are rendered with, found as transformers finds
 * them. Of several places the first that has any counts, whole: files of their own (`chat_template.jinja` is the one
 * named default, `additional_chat_templates/NAME.jinja` are others), then the processor's files, then
 * `tokenizer_config.json`, where a template is a text, a list of named ones or a mapping from names.
 */

import { join } from "node:path";
import { z } from "zod";
import { inputError, Limitation } from "../errors.ts";
import { exists, readJson, readTextExactly } from "../formats/files.ts";
import { firstIssue } from "../issue.ts";
import {
  additionalTemplates,
  PROCESSOR_CONFIG,
  PROCESSOR_TEMPLATE_FILE,
  TEMPLATE_FILE,
  TEMPLATE_FOLDER,
  TEMPLATE_SUFFIX,
  TOKENIZER_CONFIG,
} from "../models/tokenizer-files.ts";
import { readNamedTokens } from "../tokenizer/added-tokens.ts";

/** The name of the template that is taken where none is named. */
export const DEFAULT_TEMPLATE = "default";

export interface TemplateSource {
  /** The file it comes from, for messages. */
  readonly path: string;
  readonly source: string;
}

/** A template and what it is rendered with besides the messages: the special tokens by their names. */
export interface ChatTemplate extends TemplateSource {
  readonly specialTokens: Readonly<Record<string, string | readonly string[]>>;
}

/** The template of that name and its special tokens; refused where the folder has none of that name. */
export async function readChatTemplate(folder: string, name: string = DEFAULT_TEMPLATE): Promise<ChatTemplate> {
  const templates = await readTemplates(folder);
  if (templates.size === 0) {
    throw new Limitation(
      folder,
      `no chat template: expected chat_template in ${TOKENIZER_CONFIG}, or ${TEMPLATE_FILE}; add the one that the model was trained with`,
    );
  }
  const template = templates.get(name);
  if (template === undefined) {
    const names = [...templates.keys()].join(", ");
    throw inputError(folder, `expected a chat template named ${name}, found ${names}; choose one by template_name`);
  }
  return { ...template, specialTokens: await readSpecialTokens(folder) };
}

/** All templates by name, in the order in which they are found; none where the folder has none. */
export async function readTemplates(folder: string): Promise<ReadonlyMap<string, TemplateSource>> {
  const separate = await readSeparateFiles(folder);
  if (separate.size > 0) return separate;
  for (const name of [PROCESSOR_TEMPLATE_FILE, PROCESSOR_CONFIG, TOKENIZER_CONFIG]) {
    const path = join(folder, name);
    const named = namedTemplates((await readFields(path, templateFile)).chat_template);
    if (named.length > 0) return new Map(named.map(([key, source]) => [key, { path, source }]));
  }
  return new Map();
}

/** A file named default among the additional ones replaces `chat_template.jinja`, as in transformers. */
async function readSeparateFiles(folder: string): Promise<Map<string, TemplateSource>> {
  const found = new Map<string, TemplateSource>();
  const path = join(folder, TEMPLATE_FILE);
  if (await exists(path)) found.set(DEFAULT_TEMPLATE, { path, source: await readTextExactly(path) });
  for (const file of await additionalTemplates(folder)) {
    const name = file.slice(TEMPLATE_FOLDER.length + 1, -TEMPLATE_SUFFIX.length);
    found.set(name, { path: join(folder, file), source: await readTextExactly(join(folder, file)) });
  }
  return found;
}

const templateFile = z.looseObject({
  chat_template: z
    .union([
      z.string(),
      z.array(z.looseObject({ name: z.string(), template: z.string() })),
      z.record(z.string(), z.string()),
    ])
    .nullish(),
});

function namedTemplates(value: z.infer<typeof templateFile>["chat_template"]): readonly (readonly [string, string])[] {
  if (value === null || value === undefined) return [];
  if (typeof value === "string") return [[DEFAULT_TEMPLATE, value]];
  return Array.isArray(value) ? value.map(({ name, template }) => [name, template]) : Object.entries(value);
}

const tokenEntry = z.union([z.string(), z.looseObject({ content: z.string() })]);

const tokensFile = z.looseObject({
  additional_special_tokens: z.array(tokenEntry).nullish(),
  extra_special_tokens: z.union([z.array(tokenEntry), z.record(z.string(), tokenEntry)]).nullish(),
});

/** A key that names a special token: one of the usual ones, or one of the model's own, such as `image_token`. */
const TOKEN_NAME = /^[a-z]\w*_token$/i;

/** A token that is null is left out: a template then sees it undefined, not as none. */
async function readSpecialTokens(folder: string): Promise<ChatTemplate["specialTokens"]> {
  const config = await readFields(join(folder, TOKENIZER_CONFIG), tokensFile);
  const { roles } = await readNamedTokens(folder);
  const tokens = new Map<string, string | readonly string[]>(roles);
  const extra = config.extra_special_tokens ?? [];
  if (!Array.isArray(extra)) for (const [name, token] of Object.entries(extra)) tokens.set(name, spellingOf(token));
  const additional = config.additional_special_tokens ?? [];
  return {
    ...Object.fromEntries([...tokens].filter(([name]) => TOKEN_NAME.test(name))),
    ...(additional.length > 0 && { additional_special_tokens: additional.map(spellingOf) }),
  };
}

function spellingOf(token: z.infer<typeof tokenEntry>): string {
  return typeof token === "string" ? token : token.content;
}

async function readFields<T extends object>(path: string, schema: z.ZodType<T>): Promise<Partial<T>> {
  if (!(await exists(path))) return {};
  const parsed = schema.safeParse(await readJson(path));
  if (parsed.success) return parsed.data;
  const { place, problem } = firstIssue(parsed.error);
  throw inputError(path, `${place || "the file"}: ${problem}`);
}
