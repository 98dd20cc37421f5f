/**
 * Conversations in one model's template and tokens. Renderings go to the template's worker in batches, texts to the
 * tokenizer in batches; a few dozen conversations are in hand at a time, whatever their number.
 */
import { inputError, internalError } from "../errors.ts";
import { loadTokenizer } from "../tokenizer/load.ts";
import type { Encoding, Tokenizer } from "../tokenizer/tokenizer.ts";
import {
  type Conversation,
  isTrained,
  type RefusedConversation,
  type TokenisedConversation,
  type Turn,
} from "./conversation.ts";
import { findResponses, type RenderedConversation } from "./responses.ts";
import { rowsOf } from "./rows.ts";
import { openRenderer, type TemplateRenderer } from "./template.ts";
import { type ChatTemplate, readChatTemplate } from "./template-files.ts";
import {
  DEFAULT_TEMPLATE_SETTINGS,
  identityOf,
  type TemplateIdentity,
  type TemplateSettings,
} from "./template-settings.ts";

export interface TokeniseOptions {
  /** Most tokens of a conversation. */
  readonly maxLength: number;
  /** Render with the template of this folder (the pivot's, as in the papers) instead of the model's own. */
  readonly templateFolder?: string;
  /** What renderings depend on besides messages and template; default the fixed date and no variables. */
  readonly settings?: TemplateSettings;
}

export interface Prompt {
  readonly text: string;
  readonly ids: Int32Array;
}

export interface ConversationTokeniser {
  readonly tokenizer: Tokenizer;
  /** What it renders with. */
  readonly identity: TemplateIdentity;
  /** `first` is the index of the first conversation in the prepared data; one answer a conversation, in order. */
  tokenise(
    conversations: readonly Conversation[],
    first: number,
  ): Promise<(TokenisedConversation | RefusedConversation)[]>;
  /** The turns rendered with the generation prompt: what the model is given to answer. */
  prompt(turns: readonly Turn[]): Promise<Prompt>;
  /** The same for many; a dialogue that the template does not take is told with its reason. */
  prompts(dialogues: readonly (readonly Turn[])[]): Promise<(Prompt | { readonly refused: string })[]>;
  /** Gives the tokenizer's memory back. */
  dispose(): Promise<void>;
}

const CONVERSATIONS_AT_ONCE = 64;

/** Opens the tokenizer and the template of a model folder. Must be disposed of: its tokenizer holds memory. */
export async function openConversationTokeniser(
  folder: string,
  options: TokeniseOptions,
): Promise<ConversationTokeniser> {
  const { maxLength } = options;
  if (!Number.isInteger(maxLength) || maxLength < 1) {
    throw inputError("max_length", `expected a whole number of at least 1, found ${maxLength}`);
  }
  const tokenizer = await loadTokenizer(folder);
  const settings = options.settings ?? DEFAULT_TEMPLATE_SETTINGS;
  const template = await readChatTemplate(options.templateFolder ?? folder, settings.name);
  const renderer = openRenderer(template, settings);
  return {
    tokenizer,
    identity: identityOf(template, settings),
    tokenise: async (conversations, first) => {
      const all: (TokenisedConversation | RefusedConversation)[] = [];
      for (let start = 0; start < conversations.length; start += CONVERSATIONS_AT_ONCE) {
        const batch = conversations.slice(start, start + CONVERSATIONS_AT_ONCE);
        all.push(...(await tokeniseBatch(batch, first + start, { maxLength, template, tokenizer, renderer })));
      }
      return all;
    },
    prompt: async (turns) => {
      const [prompt] = await promptsOf([turns], tokenizer, renderer);
      if (prompt === undefined) throw internalError("a rendering without an answer");
      if ("refused" in prompt) {
        throw inputError(template.path, `the chat template refuses the conversation: ${prompt.refused}`);
      }
      return prompt;
    },
    prompts: (dialogues) => promptsOf(dialogues, tokenizer, renderer),
    dispose: () => tokenizer.release(),
  };
}

async function promptsOf(
  dialogues: readonly (readonly Turn[])[],
  tokenizer: Tokenizer,
  renderer: TemplateRenderer,
): Promise<(Prompt | { readonly refused: string })[]> {
  const renderings = await renderer.render(dialogues.map((turns) => ({ turns, generationPrompt: true })));
  const texts = renderings.flatMap((rendering) => ("text" in rendering ? [rendering.text] : []));
  const encodings = (await tokenizer.encodeBatch(texts)).values();
  return renderings.map((rendering) => {
    if ("refused" in rendering) return rendering;
    const encoding = encodings.next().value;
    if (encoding === undefined) throw internalError("a text without an encoding");
    return { text: rendering.text, ids: encoding.ids };
  });
}

interface Means {
  readonly maxLength: number;
  readonly template: ChatTemplate;
  readonly tokenizer: Tokenizer;
  readonly renderer: TemplateRenderer;
}

/** The turns of one conversation that are rendered, and their rendering in tokens. */
interface Fitted extends RenderedConversation {
  readonly encoding: Encoding;
}

type Fit = Fitted | { readonly refused: string };

async function tokeniseBatch(
  conversations: readonly Conversation[],
  first: number,
  means: Means,
): Promise<(TokenisedConversation | RefusedConversation)[]> {
  const fits = await fitAll(conversations, means);
  const fitted = fits.flatMap((fit) => ("refused" in fit ? [] : [fit]));
  const found = (await findResponses(fitted, means.renderer)).values();
  return fits.map((fit, index) => {
    const { id } = conversations[index]!;
    const conversation = first + index;
    if ("refused" in fit) return { conversation, id, refused: fit.refused };
    const responses = found.next().value;
    if (responses === undefined) throw internalError("a rendering without its responses");
    if ("refused" in responses) return { conversation, id, refused: responses.refused };
    const length = Math.min(fit.encoding.ids.length, means.maxLength);
    const ids = fit.encoding.ids.slice(0, length);
    const rows = rowsOf(fit.encoding, length, responses, means.tokenizer);
    return { conversation, id, text: fit.text, ids, turns: fit.turns.length, ...rows };
  });
}

/**
 * Renders the most turns that fit, up to an assistant's that gives rows, or up to the first such, which is then cut. The
 * number is found by halving, all conversations in step: more turns never have fewer tokens.
 */
async function fitAll(conversations: readonly Conversation[], means: Means): Promise<Fit[]> {
  const ends = conversations.map(({ turns }) => turns.flatMap((turn, index) => (isTrained(turn) ? [index + 1] : [])));
  const fits: Fit[] = conversations.map(() => ({ refused: "it has no assistant turn to train on" }));
  // Pairs known to fit (0: none is known to) and the fewest known not to.
  const low = ends.map(() => 0);
  const high = ends.map((list) => list.length + 1);
  let pairs = ends.map((list) => list.length);
  for (;;) {
    const open = conversations.flatMap((_, index) => (pairs[index]! > 0 ? [index] : []));
    if (open.length === 0) return fits;
    const tried = await renderAndEncode(
      open.map((index) => upTo(conversations[index]!, ends[index]![pairs[index]! - 1]!)),
      means,
    );
    const next = ends.map(() => 0);
    for (const [order, index] of open.entries()) {
      const fit = tried[order]!;
      const count = pairs[index]!;
      if ("refused" in fit) {
        fits[index] = fit;
        continue;
      }
      if (fit.encoding.ids.length <= means.maxLength) low[index] = count;
      else high[index] = count;
      if (low[index] === count || count === 1) fits[index] = fit;
      const candidate = low[index]! + 1 === high[index] ? 0 : Math.floor((low[index]! + high[index]!) / 2);
      next[index] = candidate;
    }
    pairs = next;
  }
}

function upTo({ turns, tools }: Conversation, end: number): Omit<RenderedConversation, "text"> {
  return { turns: turns.slice(0, end), ...(tools === undefined ? {} : { tools }) };
}

async function renderAndEncode(
  conversations: readonly Omit<RenderedConversation, "text">[],
  means: Means,
): Promise<Fit[]> {
  const renderings = await means.renderer.render(conversations.map((one) => ({ ...one, generationPrompt: false })));
  const texts = renderings.flatMap((rendering) => ("text" in rendering ? [rendering.text] : []));
  const encodings = (await means.tokenizer.encodeBatch(texts)).values();
  return renderings.map((rendering, index) => {
    if ("refused" in rendering) return rendering;
    const encoding = encodings.next().value;
    if (encoding === undefined) throw internalError("a text without an encoding");
    return { ...conversations[index]!, text: rendering.text, encoding };
  });
}
