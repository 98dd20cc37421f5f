/**
 * Requests as OpenAI and vLLM name their parameters (OpenAI API reference, "Chat" and "Completions"; vLLM,
 * "OpenAI-Compatible Server"), checked. What this server does not do is refused by its name, unless its value asks for
 * nothing; what has no effect on an answer is taken.
 */
import { z } from "zod";
import type { Turn } from "../data/conversation.ts";
import type { AnswerSettings } from "./answers.ts";
import type { ServeLimits } from "./limits.ts";

/** What both kinds of completions have. */
interface SamplingRequest {
  readonly model: string;
  readonly n?: number | null | undefined;
  readonly temperature?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  readonly top_k?: number | null | undefined;
  readonly seed?: number | null | undefined;
  readonly stop?: string | readonly string[] | null | undefined;
  readonly ignore_eos?: boolean | null | undefined;
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | null | undefined } | null | undefined;
  readonly logit_bias?: Readonly<Record<string, unknown>> | null | undefined;
}

export interface ChatMessage {
  readonly role: "system" | "developer" | "user" | "assistant" | "tool";
  readonly content?: string | readonly { readonly type: "text"; readonly text: string }[] | null | undefined;
  readonly name?: string | null | undefined;
  readonly tool_calls?: readonly unknown[] | null | undefined;
  readonly tool_call_id?: string | undefined;
  readonly reasoning_content?: string | null | undefined;
}

export interface ChatRequest extends SamplingRequest {
  readonly messages: readonly ChatMessage[];
  readonly max_tokens?: number | null | undefined;
  readonly max_completion_tokens?: number | null | undefined;
  readonly logprobs?: boolean | null | undefined;
  readonly top_logprobs?: number | null | undefined;
}

export interface CompletionRequest extends SamplingRequest {
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly max_tokens?: number | null | undefined;
  readonly echo?: boolean | null | undefined;
  readonly logprobs?: number | null | undefined;
  readonly prompt_logprobs?: number | null | undefined;
}

export interface TokenizeRequest {
  readonly model: string;
  readonly prompt?: string | null | undefined;
  readonly messages?: readonly ChatMessage[] | null | undefined;
  readonly return_token_strs?: boolean | null | undefined;
}

export interface DetokenizeRequest {
  readonly model: string;
  readonly tokens: readonly number[];
}

/** A parameter that is taken only with a value that changes nothing. */
function neutral(values: readonly unknown[]) {
  const isNeutral = (value: unknown): boolean =>
    value === undefined || value === null || values.some((one) => JSON.stringify(one) === JSON.stringify(value));
  return z.unknown().refine(isNeutral, { error: "is not supported; leave it out" }).optional();
}

const ignored = z.unknown().optional();
const id = z.int().min(0);

function samplingFields(limits: ServeLimits) {
  return {
    model: z.string(),
    n: z.int().min(1).max(limits.choices).nullish(),
    temperature: z.number().min(0).max(100).nullish(),
    top_p: z.number().gt(0).max(1).nullish(),
    top_k: z.int().min(-1).nullish(),
    seed: z.int().nullish(),
    stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]).nullish(),
    ignore_eos: z.boolean().nullish(),
    stream: z.boolean().nullish(),
    stream_options: z.strictObject({ include_usage: z.boolean().nullish() }).nullish(),
    presence_penalty: neutral([0]),
    frequency_penalty: neutral([0]),
    repetition_penalty: neutral([1]),
    min_p: neutral([0]),
    logit_bias: z.record(z.string(), neutral([0])).nullish(),
    user: ignored,
    store: ignored,
    metadata: ignored,
    service_tier: ignored,
    safety_identifier: ignored,
    prompt_cache_key: ignored,
  };
}

const content = z.union([z.string(), z.array(z.object({ type: z.literal("text"), text: z.string() }))]);
const name = z.string().nullish();

const messages = z
  .array(
    z.discriminatedUnion("role", [
      z.strictObject({ role: z.enum(["system", "developer"]), content, name }),
      z.strictObject({ role: z.literal("user"), content, name }),
      z.strictObject({
        role: z.literal("assistant"),
        content: content.nullish(),
        name,
        refusal: neutral([]),
        tool_calls: z.array(z.unknown()).nullish(),
        reasoning_content: z.string().nullish(),
      }),
      z.strictObject({ role: z.literal("tool"), content, name, tool_call_id: z.string() }),
    ]),
  )
  .min(1);

export function chatRequest(limits: ServeLimits): z.ZodType<ChatRequest> {
  return z.strictObject({
    ...samplingFields(limits),
    messages,
    max_tokens: z.int().min(1).max(limits.answerTokens).nullish(),
    max_completion_tokens: z.int().min(1).max(limits.answerTokens).nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(limits.logprobs).nullish(),
    response_format: neutral([{ type: "text" }]),
    tools: neutral([[]]),
    tool_choice: neutral(["none"]),
    parallel_tool_calls: ignored,
  });
}

export function completionRequest(limits: ServeLimits): z.ZodType<CompletionRequest> {
  return z.strictObject({
    ...samplingFields(limits),
    prompt: z.union([
      z.string(),
      z.array(z.string()).min(1).max(limits.choices),
      z.array(id).min(1),
      z.array(z.array(id)).min(1).max(limits.choices),
    ]),
    max_tokens: z.int().min(0).max(limits.answerTokens).nullish(),
    echo: z.boolean().nullish(),
    logprobs: z.int().min(0).max(limits.logprobs).nullish(),
    prompt_logprobs: z.int().min(0).max(limits.logprobs).nullish(),
    // A text is its own tokens here; whoever wants a special one in front sends ids.
    add_special_tokens: neutral([false]),
    best_of: neutral([1]),
    suffix: neutral([]),
  });
}

export const tokenizeRequest: z.ZodType<TokenizeRequest> = z.strictObject({
  model: z.string(),
  prompt: z.string().nullish(),
  messages: messages.nullish(),
  add_special_tokens: neutral([false]),
  add_generation_prompt: neutral([true]),
  return_token_strs: z.boolean().nullish(),
});

export const detokenizeRequest: z.ZodType<DetokenizeRequest> = z.strictObject({
  model: z.string(),
  tokens: z.array(id),
});

/** A prompt as a text, or as ids. */
export type PromptInput = string | readonly number[];

export function promptsOf({ prompt }: CompletionRequest): readonly PromptInput[] {
  if (typeof prompt === "string") return [prompt];
  const isOne = typeof prompt[0] === "number";
  return isOne ? [prompt as readonly number[]] : (prompt as readonly PromptInput[]);
}

export function samplingOf(request: SamplingRequest): Omit<AnswerSettings, "maxTokens" | "topLogprobs"> {
  const { temperature, top_p: topP, top_k: topK, seed, stop, ignore_eos: ignoreEnd } = request;
  return {
    temperature: temperature ?? 1,
    topP: topP ?? 1,
    topK: Math.max(0, topK ?? 0),
    seed: seed ?? null,
    stops: stop === null || stop === undefined ? [] : typeof stop === "string" ? [stop] : stop,
    ignoreEnd: ignoreEnd ?? false,
  };
}

export function turnsOf(all: readonly ChatMessage[]): Turn[] {
  return all.map((message): Turn => {
    const { role, tool_calls: toolCalls, reasoning_content: reasoning } = message;
    const said = textOf(message.content);
    switch (role) {
      case "system":
      case "developer":
        return { role: "system", content: said };
      case "user":
        return { role, content: said };
      case "assistant":
        return {
          role,
          content: said,
          ...(reasoning ? { reasoning } : {}),
          ...(toolCalls && toolCalls.length > 0 ? { toolCalls } : {}),
        };
      default:
        return {
          role: "tool",
          content: said,
          ...(message.name ? { name: message.name } : {}),
          ...(message.tool_call_id === undefined ? {} : { toolCallId: message.tool_call_id }),
        };
    }
  });
}

function textOf(value: ChatMessage["content"]): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : value.map(({ text }) => text).join("");
}
