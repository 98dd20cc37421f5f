/**
 * Prompts: conversations up to their last question. An answer that follows it is the reference that rules and judges may
 * look at; answers before it are context, on which nothing made from the prompt trains.
 */
import { type Conversation, conversationId, type Turn } from "../data/conversation.ts";
import { LeftOutCounts } from "../data/irregular.ts";
import type { Dialogue } from "../evaluate/subjects/subject.ts";

export interface Prompt {
  readonly dialogue: Dialogue;
  /** The answer that the data has, or null. */
  readonly reference: string | null;
  readonly skill?: string;
  readonly category?: string;
}

/** Hexadecimal digits of a prompt's id: of a million prompts no two have one by chance. */
const ID_DIGITS = 16;

/** What nobody can be asked is counted by reason. Of equal prompts each is asked by itself, and draws answers of its own. */
export function promptsOf(
  conversations: readonly Conversation[],
  path: string,
): { prompts: Prompt[]; leftOut: LeftOutCounts } {
  const prompts: Prompt[] = [];
  const seen = new Map<string, number>();
  const leftOut = new LeftOutCounts();
  for (const [index, { turns, tools, skill, category }] of conversations.entries()) {
    const leave = (reason: string): void => leftOut.add(reason, path, `: conversation ${index + 1}`);
    const last = turns.at(-1)!;
    const asked = last.role === "assistant" ? turns.slice(0, -1) : turns;
    if (tools !== undefined || turns.some(({ role, toolCalls }) => role === "tool" || toolCalls !== undefined)) {
      leave("with tools, with which no model is asked here");
      continue;
    }
    if (asked.at(-1)?.role !== "user") {
      leave("without a question");
      continue;
    }
    // Not by their places: what was answered stays answered where prompts are added or taken away.
    const hash = conversationId(asked).slice(0, ID_DIGITS);
    const before = seen.get(hash) ?? 0;
    seen.set(hash, before + 1);
    prompts.push({
      dialogue: { id: before === 0 ? hash : `${hash}/${before}`, turns: asked.map(asContext) },
      reference: last.role === "assistant" ? last.content : null,
      ...(skill === undefined ? {} : { skill }),
      ...(category === undefined ? {} : { category }),
    });
  }
  return { prompts, leftOut };
}

function asContext(turn: Turn): Turn {
  return turn.role === "assistant" ? { ...turn, trained: false } : turn;
}
