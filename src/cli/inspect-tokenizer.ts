/**
 * What `inspect` says of a tokenizer and its chat template. One that cannot be used is no reason not to tell the rest:
 * its reason stands in its place.
 */
import { join } from "node:path";
import type { Turn } from "../data/conversation.ts";
import { openRenderer } from "../data/template.ts";
import { readChatTemplate } from "../data/template-files.ts";
import { FusechatError, Limitation } from "../errors.ts";
import { exists, readJson } from "../formats/files.ts";
import { loadTokenizer } from "../tokenizer/load.ts";
import { contentOf, readSpecialTokens } from "../tokenizer/special.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export interface TokenizerSummary {
  /** Largest id + 1. */
  readonly size?: number;
  readonly special_tokens?: number;
  readonly sha256?: string;
  /** Why the tokenizer cannot be used. */
  readonly refused?: string;
  readonly bos: number | null;
  readonly eos: number | null;
  readonly stop_ids: readonly number[];
  readonly pad: number | null;
  /** How the tokens with a role are spelled, by id. */
  readonly spelling?: Readonly<Record<string, string>>;
  readonly template: TemplateSummary | { readonly refused: string };
}

export interface TemplateSummary {
  /** The file it comes from. */
  readonly from: string;
  /** Whether it takes a turn of the user and one of the assistant. */
  readonly renders: boolean;
  /** Whether it takes a system turn before them. */
  readonly system_turn: boolean;
  /** What it says where it does not take these turns. */
  readonly refusal?: string;
  /** What comes after the user's turn where an answer is wanted; null where there is nothing. */
  readonly generation_prompt: string | null;
}

/** `wrong`: see `orReason`. */
export async function summariseTokenizer(folder: string, wrong: Set<string>): Promise<TokenizerSummary> {
  const named = await orReason(() => readSpecialTokens(folder), wrong);
  const { bos, eos, stopIds } = typeof named === "string" ? { bos: null, eos: null, stopIds: [] } : named;
  const tokenizer = await orReason(() => loadTokenizer(folder), wrong);
  const template = await orReason(() => summariseTemplate(folder), wrong);
  if (typeof template !== "string" && !template.renders) wrong.add(templateRefusal(template));
  const filling = await orReason(() => readPad(folder, typeof tokenizer === "string" ? null : tokenizer), wrong);
  const pad = typeof filling === "string" ? null : filling;
  const roles = { bos, eos, stop_ids: stopIds, pad };
  const last = { template: typeof template === "string" ? { refused: template } : template };
  if (typeof tokenizer === "string") return { refused: tokenizer, ...roles, ...last };
  const { size, sha256, isSpecial, tokenText } = tokenizer;
  const ids = [bos, ...stopIds, pad].filter((id) => id !== null);
  const spelling = Object.fromEntries([...new Set(ids)].map((id) => [id, tokenText(id) ?? "no such token"]));
  const special = Array.from({ length: size }, (_, id) => id).filter(isSpecial).length;
  return { size, special_tokens: special, sha256, ...roles, spelling, ...last };
}

/** The work's result, or the message of its refusal, which goes to `wrong` where a file is wrong and not just of no use here. */
export async function orReason<T>(work: () => T | Promise<T>, wrong: Set<string>): Promise<T | string> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FusechatError)) throw error;
    if (!(error instanceof Limitation)) wrong.add(error.message);
    return error.message;
  }
}

export function templateRefusal({ from, refusal }: TemplateSummary): string {
  return `${from}: the template refuses: ${refusal}`;
}

const USER: Turn = { role: "user", content: "How do you do?" };
const ANSWER: Turn = { role: "assistant", content: "Well." };
const SYSTEM: Turn = { role: "system", content: "Be brief." };

async function summariseTemplate(folder: string): Promise<TemplateSummary> {
  const template = await readChatTemplate(folder);
  const renderer = openRenderer(template);
  const render = async (turns: readonly Turn[], generationPrompt: boolean) => {
    return (await renderer.render([{ turns, generationPrompt }]))[0]!;
  };
  const dialogue = await render([USER, ANSWER], false);
  const system = await render([SYSTEM, USER], true);
  const asked = await render([USER], false);
  const prompt = await render([USER], true);
  const added = "text" in asked && "text" in prompt ? prompt.text.slice(asked.text.length) : "";
  return {
    from: template.path,
    renders: "text" in dialogue,
    system_turn: "text" in system,
    ...("refused" in dialogue ? { refusal: dialogue.refused } : "refused" in system ? { refusal: system.refused } : {}),
    generation_prompt: added === "" ? null : added,
  };
}

/** The id that fills batches: of the model's configs, else by the tokenizer's spelling. */
async function readPad(folder: string, tokenizer: Tokenizer | null): Promise<number | null> {
  for (const name of ["generation_config.json", "config.json"]) {
    const id = await readField(join(folder, name), "pad_token_id");
    if (typeof id === "number") return id;
  }
  const token = await readField(join(folder, "tokenizer_config.json"), "pad_token");
  const spelled = contentOf(token as Parameters<typeof contentOf>[0]);
  if (spelled === undefined || tokenizer === null) return null;
  for (let id = 0; id < tokenizer.size; id++) if (tokenizer.tokenText(id) === spelled) return id;
  return null;
}

async function readField(path: string, field: string): Promise<unknown> {
  if (!(await exists(path))) return undefined;
  const json = await readJson(path);
  return typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>)[field] : undefined;
}
