/**
 * Conversations as every stage sees them, and their rows: the predicted tokens of assistant responses (FORMATS,
 * "From conversation to rows").
 */
import { createHash } from "node:crypto";

export type Role = "system" | "user" | "assistant" | "tool";

export interface Turn {
  readonly role: Role;
  readonly content: string;
  /** What an assistant thought before it answered, where the record keeps it beside the content. */
  readonly reasoning?: string;
  /** An assistant's tool calls as the record has them (JSON), for the template to write. Such a turn gives no rows. */
  readonly toolCalls?: readonly unknown[];
  /** Whose answer a tool turn is: the tool's name, and the call that it answers. */
  readonly name?: string;
  readonly toolCallId?: string;
  /** False where the record masks an assistant's turn: context, no rows. */
  readonly trained?: false;
}

/**
 * An optional system turn, then user and assistant turn by turn; an assistant's tool calls may be followed by tool
 * turns and the assistant's next turn.
 */
export interface Conversation {
  /** `conversationId` of its turns and tools. */
  readonly id: string;
  readonly turns: readonly Turn[];
  /** The tools that the assistant was offered (JSON), for the template to write. */
  readonly tools?: readonly unknown[];
  readonly skill?: string;
  /** What kind of conversation it is, or which data set it is from, where the record says it. */
  readonly category?: string;
  /** Nats of the answers under the distribution that drew them, where it is known: no model can do better on average. */
  readonly floorNats?: number;
}

/** Whether a turn gives rows: an assistant's own words, not masked by the record. */
export function isTrained(turn: Turn): boolean {
  return turn.role === "assistant" && turn.trained !== false && turn.toolCalls === undefined;
}

/**
 * Lower-case hex SHA-256 of the UTF-8 bytes of `JSON.stringify(turns.map(t => [t.role, t.content]))`. A turn that says
 * more has a third entry, an object of what it says; tools are a last entry of their own.
 */
export function conversationId(turns: readonly Turn[], tools?: readonly unknown[]): string {
  const entries: unknown[] = turns.map((turn) => {
    const more = beyondContent(turn);
    return Object.keys(more).length === 0 ? [turn.role, turn.content] : [turn.role, turn.content, more];
  });
  if (tools !== undefined) entries.push({ tools });
  return createHash("sha256").update(JSON.stringify(entries), "utf8").digest("hex");
}

/** What a turn says besides role and content, by the names that files use. */
export function beyondContent(turn: Turn): Record<string, unknown> {
  return {
    ...(turn.reasoning === undefined ? {} : { reasoning_content: turn.reasoning }),
    ...(turn.toolCalls === undefined ? {} : { tool_calls: turn.toolCalls }),
    ...(turn.name === undefined ? {} : { name: turn.name }),
    ...(turn.toolCallId === undefined ? {} : { tool_call_id: turn.toolCallId }),
    ...(turn.trained === undefined ? {} : { train: turn.trained }),
  };
}

/** The rows of one conversation, as columns. R rows. */
export interface Rows {
  /** [R] index of the label in the conversation's ids. */
  readonly position: Int32Array;
  /** [R] index of the turn in the conversation. */
  readonly turn: Uint16Array;
  /** [R] the label's span in the turn's original (original.ts), UTF-8 bytes. */
  readonly byteStart: Int32Array;
  readonly byteEnd: Int32Array;
  /** [R] how many of the label token's own bytes lie before its span. */
  readonly lead: Uint8Array;
  /** The rows that end a turn, ascending. */
  readonly endOfTurn: Int32Array;
  /**
   * What the template has left out of the original before a row, 0 for nothing: `leftOut[g]`, a hash of it, holds from
   * row `leftOutRow[g]` on to the end of the turn or to the next entry.
   */
  readonly leftOutRow: Int32Array;
  readonly leftOut: BigInt64Array;
}

/** A conversation in one model's template and tokens. */
export interface TokenisedConversation {
  /** Index in the prepared data. */
  readonly conversation: number;
  readonly id: string;
  readonly text: string;
  /** Cut to `max_length`. */
  readonly ids: Int32Array;
  /** How many turns are kept. */
  readonly turns: number;
  readonly rows: Rows;
  /** The divisor of its nats per byte. */
  readonly bytes: number;
  /** Responses that end within the kept tokens without an end of turn, and those that the template writes in part. */
  readonly unclosed: number;
  readonly shortened: number;
}

/** A conversation that the model's template refuses, such as one with a system turn. */
export interface RefusedConversation {
  readonly conversation: number;
  readonly id: string;
  readonly refused: string;
}
