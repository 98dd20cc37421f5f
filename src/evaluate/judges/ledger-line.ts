/** A line of the ledger: what was asked, and what the judge said. Its key is the SHA-256 of the whole request. */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { ChatReply, ChatRequest } from "../../engine/endpoint/endpoint.ts";

export interface LedgerLine {
  readonly key: string;
  /** The question's id, for readers. */
  readonly id: string;
  /** Where it was asked; a judge that moves to another address is the same judge. */
  readonly url: string;
  readonly model: string;
  /** For readers too; the key stands for it. */
  readonly request: ChatRequest;
  readonly reply: ChatReply;
}

const logprob = z.object({ token: z.string(), logprob: z.number() });

export const ledgerLine: z.ZodType<LedgerLine> = z.object({
  key: z.string(),
  id: z.string(),
  url: z.string(),
  model: z.string(),
  request: z.object({
    messages: z.array(z.object({ role: z.enum(["system", "user", "assistant"]), content: z.string() })),
    temperature: z.number(),
    maxTokens: z.number(),
    topLogprobs: z.number(),
    topP: z.number().exactOptional(),
    seed: z.number().exactOptional(),
  }),
  reply: z.object({
    text: z.string(),
    finish: z.string(),
    topLogprobs: z.array(z.array(logprob)).nullable(),
    promptTokens: z.number().nullable(),
    answerTokens: z.number().nullable(),
    omitted: z.array(z.enum(["temperature", "topP", "seed"])).exactOptional(),
  }),
});

/** The request in one form: its parts in a fixed order, nothing that is not asked for. */
export function canonicalRequest(request: ChatRequest): ChatRequest {
  const { messages, temperature, maxTokens, topLogprobs, topP, seed } = request;
  return {
    messages: messages.map(({ role, content }) => ({ role, content })),
    temperature,
    maxTokens,
    topLogprobs,
    ...(topP === undefined ? {} : { topP }),
    ...(seed === undefined ? {} : { seed }),
  };
}

/** Lower-case hex SHA-256 of model and request. The address is no part of it. */
export function requestKey(model: string, request: ChatRequest): string {
  return createHash("sha256")
    .update(JSON.stringify([model, canonicalRequest(request)]), "utf8")
    .digest("hex");
}

export function lineOf(
  { url, model }: { readonly url: string; readonly model: string },
  id: string,
  request: ChatRequest,
  reply: ChatReply,
): LedgerLine {
  return {
    key: requestKey(model, request),
    id,
    url,
    model,
    request: canonicalRequest(request),
    reply,
  };
}
