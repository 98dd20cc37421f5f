/**
 * Conversations in one model's template and tokens. Renderings go to the template's worker in batches, texts to the
 * tokenizer in batches; a few dozen conversations are in hand at a time, whatever their number.
 */
import { inputError, internalError } from "../errors.ts";
import { loadTokenizer } from "../tokenizer/load.ts";
import type { Encoding, Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Conversation, RefusedConversation, TokenisedConversation, Turn } from "./conversation.ts";
import { type Placed, placeAfterPrompts, placeByMarkers, placeBySearch, withMarkers } from "./locate.ts";
import { type Response, rowsOf } from "./rows.ts";
import { openRenderer, type TemplateRenderer } from "./template.ts";
import { type ChatTemplate, readChatTemplate } from "./template-files.ts";

export interface TokeniseOptions {
  /** Most tokens of a conversation. */
  readonly maxLength: number;
  /** Render with the template of this folder (the pivot's, as in the papers) instead of the model's own. */
  readonly templateFolder?: string;
}

export interface Prompt {
  readonly text: string;
  readonly ids: Int32Array;
}

export interface ConversationTokeniser {
  readonly tokenizer: Tokenizer;
  /** `first` is the index of the first conversation in the prepared data; one answer a conversation, in order. */
  tokenise(
    conversations: readonly Conversation[],
    first: number,
  ): Promise<(TokenisedConversation | RefusedConversation)[]>;
  /** The turns rendered with the generation prompt: what the model is given to answer. */
  prompt(turns: readonly Turn[]): Promise<Prompt>;
  /** The same for many; a dialogue that the template does not take is told with its reason. */
  prompts(dialogues: readonly (readonly Turn[])[]): Promise<(Prompt | { readonly refused: string })[]>;
  dispose(): Promise<void>;
}

const CONVERSATIONS_AT_ONCE = 64;

/** Opens the tokenizer and the template of a model folder. Must be disposed of: it owns a worker thread. */
export async function openConversationTokeniser(
  folder: string,
  options: TokeniseOptions,
): Promise<ConversationTokeniser> {
  const { maxLength } = options;
  if (!Number.isInteger(maxLength) || maxLength < 1) {
    throw inputError("max_length", `expected a whole number of at least 1, found ${maxLength}`);
  }
  const tokenizer = await loadTokenizer(folder);
  const template = await readChatTemplate(options.templateFolder ?? folder);
  const renderer = openRenderer(template);
  return {
    tokenizer,
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
    dispose: () => renderer.dispose(),
  };
}

async function promptsOf(
  dialogues: readonly (readonly Turn[])[],
  tokenizer: Tokenizer,
  renderer: TemplateRenderer,
): Promise<(Prompt | { readonly refused: string })[]> {
  const renderings = await renderer.render(dialogues.map((turns) => ({ turns, generationPrompt: true })));
  const prompts: (Prompt | { readonly refused: string })[] = [];
  for (const rendering of renderings) {
    if ("refused" in rendering) prompts.push(rendering);
    else prompts.push({ text: rendering.text, ids: (await tokenizer.encode(rendering.text)).ids });
  }
  return prompts;
}

interface Means {
  readonly maxLength: number;
  readonly template: ChatTemplate;
  readonly tokenizer: Tokenizer;
  readonly renderer: TemplateRenderer;
}

/** The turns of one conversation that are rendered, and their rendering in tokens. */
interface Fitted {
  readonly turns: readonly Turn[];
  readonly text: string;
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
  const placed = new Map<Fit, readonly Response[] | { readonly refused: string }>();
  for (const [index, responses] of (await placeAll(fitted, means)).entries()) placed.set(fitted[index]!, responses);
  return fits.map((fit, index) => {
    const { id } = conversations[index]!;
    const conversation = first + index;
    if ("refused" in fit) return { conversation, id, refused: fit.refused };
    const responses = placed.get(fit)!;
    if ("refused" in responses) return { conversation, id, refused: responses.refused };
    const length = Math.min(fit.encoding.ids.length, means.maxLength);
    const { rows, bytes } = rowsOf(fit.encoding, length, responses, means.tokenizer);
    const ids = fit.encoding.ids.slice(0, length);
    return { conversation, id, text: fit.text, ids, turns: fit.turns.length, rows, bytes };
  });
}

/**
 * Renders the longest prefix of whole user-assistant pairs that fits, or the first pair, which is then cut. The number
 * of pairs is found by halving, all conversations in step: more pairs never have fewer tokens.
 */
async function fitAll(conversations: readonly Conversation[], means: Means): Promise<Fit[]> {
  const ends = conversations.map(({ turns }) =>
    turns.flatMap((turn, index) => (turn.role === "assistant" ? [index + 1] : [])),
  );
  const fits: Fit[] = conversations.map(() => ({ refused: "it has no assistant turn" }));
  // Pairs known to fit (0: none is known to) and the fewest known not to.
  const low = ends.map(() => 0);
  const high = ends.map((list) => list.length + 1);
  let pairs = ends.map((list) => list.length);
  for (;;) {
    const open = conversations.flatMap((_, index) => (pairs[index]! > 0 ? [index] : []));
    if (open.length === 0) return fits;
    const tried = await renderAndEncode(
      open.map((index) => conversations[index]!.turns.slice(0, ends[index]![pairs[index]! - 1])),
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

async function renderAndEncode(conversations: readonly (readonly Turn[])[], means: Means): Promise<Fit[]> {
  const renderings = await means.renderer.render(conversations.map((turns) => ({ turns, generationPrompt: false })));
  const texts = renderings.flatMap((rendering) => ("text" in rendering ? [rendering.text] : []));
  const encodings = (await means.tokenizer.encodeBatch(texts)).values();
  return renderings.map((rendering, index) => {
    if ("refused" in rendering) return rendering;
    const encoding = encodings.next().value;
    if (encoding === undefined) throw internalError("a text without an encoding");
    return { turns: conversations[index]!, text: rendering.text, encoding };
  });
}

/** Finds the prompts and the responses of all assistant turns in the rendered texts. */
async function placeAll(
  fitted: readonly Fitted[],
  means: Means,
): Promise<(readonly Response[] | { readonly refused: string })[]> {
  const assistants = fitted.map(({ turns }) =>
    turns.flatMap((turn, index) => (turn.role === "assistant" ? [index] : [])),
  );
  const jobs = fitted.flatMap(({ turns }, index) =>
    assistants[index]!.map((end) => ({ turns: turns.slice(0, end), generationPrompt: true })),
  );
  const rendered = (await means.renderer.render(jobs)).values();
  const prompts = fitted.map(({ text }, index) =>
    assistants[index]!.map(() => {
      const prompt = rendered.next().value;
      return prompt !== undefined && "text" in prompt && text.startsWith(prompt.text) ? prompt.text.length : -1;
    }),
  );
  const contents = fitted.map(({ turns }, index) => assistants[index]!.map((turn) => turns[turn]!.content));
  const placed: (readonly (Placed | null)[] | null)[] = fitted.map(({ text }, index) =>
    placeAfterPrompts(text, contents[index]!, prompts[index]!),
  );
  const doubtful = fitted.flatMap(({ turns }, index) => {
    const marked = placed[index] === null ? withMarkers(turns) : null;
    return marked === null ? [] : [{ index, marked }];
  });
  const markings = await means.renderer.render(
    doubtful.map(({ marked }) => ({ turns: marked, generationPrompt: false })),
  );
  for (const [order, { index }] of doubtful.entries()) {
    const marking = markings[order]!;
    const { text, turns } = fitted[index]!;
    if ("text" in marking) placed[index] = placeByMarkers(text, marking.text, turns);
  }
  return fitted.map((fit, index) => {
    const found = placed[index] ?? placeBySearch(fit.text, contents[index]!, prompts[index]!);
    const missing = found.indexOf(null);
    if (missing >= 0) {
      const turn = assistants[index]![missing];
      return { refused: `${means.template.path}: the rendering does not have the content of turn ${turn}` };
    }
    return responsesOf(fit, assistants[index]!, prompts[index]!, found as readonly Placed[]);
  });
}

/** The same in UTF-8 bytes. A prompt that is no prefix of the whole rendering ends where the content begins. */
function responsesOf(
  { text, turns }: Fitted,
  assistants: readonly number[],
  prompts: readonly number[],
  placed: readonly Placed[],
): Response[] {
  return placed.map(({ start, end, contentStart }, index) => {
    const { content } = turns[assistants[index]!]!;
    const prompt = prompts[index]!;
    const promptEnd = prompt < 0 || prompt > start ? start : prompt;
    const startByte = Buffer.byteLength(text.slice(0, start), "utf8");
    return {
      turn: assistants[index]!,
      promptEnd: startByte - Buffer.byteLength(text.slice(promptEnd, start), "utf8"),
      start: startByte,
      end: startByte + Buffer.byteLength(text.slice(start, end), "utf8"),
      contentStart: Buffer.byteLength(content.slice(0, contentStart), "utf8"),
      contentBytes: Buffer.byteLength(content, "utf8"),
    };
  });
}
