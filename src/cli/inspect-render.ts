/** `fusechat inspect render`: conversations as a model reads them, and the rows that are predicted in them. */
import type { Conversation, RefusedConversation, TokenisedConversation } from "../data/conversation.ts";
import type { IrregularRule } from "../data/irregular.ts";
import { openConversationTokeniser } from "../data/tokenise.ts";
import { inputError, throwIfInterrupted } from "../errors.ts";
import { textOnly } from "../models/reference.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { conversationsOf } from "./conversations-option.ts";
import { visibleBytes } from "./inspect-tokens.ts";
import { modelFolder } from "./model-option.ts";
import { type TemplateFlags, templateSettings } from "./template-options.ts";
import type { Invocation } from "./verb.ts";

export interface RenderOptions extends TemplateFlags {
  readonly model?: string;
  readonly data?: string;
  readonly irregular?: IrregularRule;
  readonly maxLength?: number;
  readonly template: "native" | "pivot";
  /** The folder whose template `pivot` means. */
  readonly templateModel?: string;
}

const CONVERSATIONS_AT_ONCE = 64;
const DEFAULT_MAX_LENGTH = 2048;

/** Characters of a batch beside its number of conversations: what is printed should come soon, however long they are. */
const CHARACTERS_AT_ONCE = 1 << 21;

/** Around the text of a row; what lies outside is prompt. */
const ROW_OPEN = "‹";
const ROW_CLOSE = "›";

export async function inspectRender(invocation: Invocation, options: RenderOptions): Promise<number | undefined> {
  const { model, data, templateModel } = options;
  if (model === undefined) throw inputError("--model", "is needed by inspect render");
  if (data === undefined) throw inputError("--data", "is needed by inspect render");
  if ((options.template === "pivot") !== (templateModel !== undefined)) {
    throw inputError("--template-model", "is needed with --template pivot, and with nothing else");
  }
  const { reporter } = invocation;
  const conversations = await conversationsOf(data, options.irregular ?? "refuse", {
    reporter,
    stage: "inspect render",
  });
  const tokeniser = await openConversationTokeniser(await modelFolder(invocation, model, textOnly), {
    maxLength: options.maxLength ?? DEFAULT_MAX_LENGTH,
    settings: templateSettings(options),
    ...(templateModel !== undefined && { templateFolder: await modelFolder(invocation, templateModel, textOnly) }),
  });
  try {
    let first = 0;
    let used = 0;
    let reason: string | undefined;
    while (first < conversations.length && invocation.hasReader()) {
      throwIfInterrupted(invocation.signal, "inspect render");
      const batch = nextBatch(conversations, first);
      for (const tokenised of await tokeniser.tokenise(batch, first)) {
        if (!invocation.json) invocation.print(await describeRows(tokenised, tokeniser.tokenizer));
        invocation.document(documentOf(tokenised));
        if ("refused" in tokenised) reason ??= tokenised.refused;
        else used += 1;
      }
      first += batch.length;
    }
    if (used > 0 || reason === undefined || first < conversations.length) return undefined;
    // As whoever goes on with them will hear.
    const none = inputError(
      model,
      `none of the ${conversations.length} conversations can be used; the first: ${reason}`,
    );
    invocation.complain(none.message);
    return none.exitCode;
  } finally {
    await tokeniser.dispose();
  }
}

function nextBatch(conversations: readonly Conversation[], first: number): Conversation[] {
  const batch: Conversation[] = [];
  let characters = 0;
  for (const conversation of conversations.slice(first, first + CONVERSATIONS_AT_ONCE)) {
    for (const { content } of conversation.turns) characters += content.length;
    if (batch.length > 0 && characters > CHARACTERS_AT_ONCE) break;
    batch.push(conversation);
  }
  return batch;
}

function documentOf(tokenised: TokenisedConversation | RefusedConversation): Record<string, unknown> {
  const { conversation, id } = tokenised;
  if ("refused" in tokenised) return { conversation, id, refused: tokenised.refused };
  const { turns, text, ids, rows, bytes } = tokenised;
  return {
    conversation,
    id,
    turns,
    text,
    ids: [...ids],
    position: [...rows.position],
    turn: [...rows.turn],
    byte_start: [...rows.byteStart],
    byte_end: [...rows.byteEnd],
    lead: [...rows.lead],
    end_of_turn: [...rows.endOfTurn],
    left_out_row: [...rows.leftOutRow],
    left_out: Array.from(rows.leftOut, String),
    bytes,
  };
}

/** The rendered text with every row's token in brackets, and the counts. */
async function describeRows(
  tokenised: TokenisedConversation | RefusedConversation,
  tokenizer: Tokenizer,
): Promise<string> {
  const title = `conversation ${tokenised.conversation} (${tokenised.id.slice(0, 12)})`;
  if ("refused" in tokenised) return `${title}: refused: ${tokenised.refused}\n`;
  const { text, ids, rows, turns, bytes } = tokenised;
  const { byteStart, byteEnd } = await tokenizer.encode(text);
  const textBytes = Buffer.from(text, "utf8");
  const isRow = new Set(rows.position);
  let marked = "";
  let prompt = 0;
  for (let index = 0; index < ids.length; index++) {
    if (!isRow.has(index)) continue;
    const start = byteStart[index]!;
    const end = byteEnd[index]!;
    marked += textBytes.toString("utf8", prompt, start);
    marked += ROW_OPEN + visibleBytes(textBytes.subarray(start, end)) + ROW_CLOSE;
    prompt = end;
  }
  const cut = byteEnd[ids.length - 1] ?? 0;
  marked += textBytes.toString("utf8", prompt, Math.max(prompt, cut));
  const left = cut < textBytes.length ? ", cut here" : "";
  const counts = [
    `${ids.length} tokens`,
    `${rows.position.length} rows`,
    `${bytes} bytes`,
    `${turns} turns`,
    ...(tokenised.unclosed > 0 ? [`${tokenised.unclosed} without an end of turn`] : []),
    ...(tokenised.shortened > 0 ? [`${tokenised.shortened} written in part`] : []),
  ];
  return `${title}: ${counts.join(", ")}\n${marked}${left}\n`;
}
