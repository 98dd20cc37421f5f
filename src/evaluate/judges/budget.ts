/**
 * What a run may spend on a judge, in calls and tokens. A call is reserved before it is made, with the most that it can
 * cost; where that does not fit, it waits for calls in flight, which mostly cost less than was reserved for them.
 */
import type { ChatReply, ChatRequest } from "../../engine/endpoint/endpoint.ts";
import { failure } from "../../errors.ts";

/** Tokens that a chat template puts around a message, at most. */
const TOKENS_AROUND_MESSAGE = 16;

export interface Reservation {
  /** Replaces the reservation by what the server counted, or by its estimate where it does not count. */
  settle(reply: ChatReply | null): void;
}

export interface Budget {
  /** Throws where the call does not fit even when nothing else is in flight. */
  reserve(request: ChatRequest): Promise<Reservation>;
}

export interface Limits {
  readonly maxCalls?: number;
  readonly maxTokens?: number;
  /** What others have spent of it, and this one adds to. */
  readonly spent?: { calls: number; tokens: number };
}

export function openBudget({ maxCalls, maxTokens, spent = { calls: 0, tokens: 0 } }: Limits, where: string): Budget {
  let reserved = 0;
  let waiting: (() => void)[] = [];
  return {
    reserve: async (request) => {
      const most = mostTokens(request);
      for (;;) {
        if (maxCalls !== undefined && spent.calls >= maxCalls) {
          throw failure(where, `the budget of ${maxCalls} calls is spent`);
        }
        if (maxTokens === undefined || spent.tokens + reserved + most <= maxTokens) break;
        if (reserved === 0) {
          const left = Math.max(0, maxTokens - spent.tokens);
          throw failure(
            where,
            `of the budget of ${maxTokens} tokens ${left} are left, and the next call may take ${most}`,
          );
        }
        await new Promise<void>((retry) => waiting.push(retry));
      }
      spent.calls++;
      reserved += most;
      return {
        settle: (reply) => {
          reserved -= most;
          spent.tokens += reply === null ? 0 : tokensOf(request, reply);
          const woken = waiting;
          waiting = [];
          for (const retry of woken) retry();
        },
      };
    },
  };
}

/** No tokenizer makes more tokens than bytes. */
function mostTokens({ messages, maxTokens }: ChatRequest): number {
  return messages.reduce((total, { content }) => total + bytesOf(content) + TOKENS_AROUND_MESSAGE, maxTokens);
}

/** Four bytes a token: English text under the tokenizers of chat models. */
export function estimatedTokens(texts: readonly string[]): number {
  return Math.ceil(texts.reduce((total, text) => total + bytesOf(text), 0) / 4);
}

function tokensOf({ messages }: ChatRequest, { text, promptTokens, answerTokens }: ChatReply): number {
  return (
    (promptTokens ?? estimatedTokens(messages.map(({ content }) => content))) +
    (answerTokens ?? estimatedTokens([text]))
  );
}

function bytesOf(text: string): number {
  return Buffer.byteLength(text, "utf8");
}
