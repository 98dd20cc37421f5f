/**
 * Conversations as every stage sees them, and their rows: the predicted tokens of assistant responses (FORMATS,
 * "From conversation to rows").
 */
import { createHash } from "node:crypto";

export type Role = "system" | "user" | "assistant";

export interface Turn {
  readonly role: Role;
  readonly content: string;
}

/** An optional system turn, then user and assistant turn by turn. */
export interface Conversation {
  /** Lower-case hex SHA-256 of the UTF-8 bytes of `JSON.stringify(turns.map(t => [t.role, t.content]))`. */
  readonly id: string;
  readonly turns: readonly Turn[];
  readonly skill?: string;
  /** Nats of the answers under the distribution that drew them, where it is known: no model can do better on average. */
  readonly floorNats?: number;
}

export function conversationId(turns: readonly Turn[]): string {
  return createHash("sha256")
    .update(JSON.stringify(turns.map((turn) => [turn.role, turn.content])), "utf8")
    .digest("hex");
}

/** The rows of one conversation, as columns. R rows. */
export interface Rows {
  /** [R] index of the label in the conversation's ids. */
  readonly position: Int32Array;
  /** [R] index of the turn in the conversation. */
  readonly turn: Uint16Array;
  /** [R] the label's span in the turn's original content, UTF-8 bytes. */
  readonly byteStart: Int32Array;
  readonly byteEnd: Int32Array;
  /** [R] how many of the label token's own bytes lie before its span. */
  readonly lead: Uint8Array;
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
}

/** A conversation that the model's template refuses, such as one with a system turn. */
export interface RefusedConversation {
  readonly conversation: number;
  readonly id: string;
  readonly refused: string;
}
