/**
 * What an OpenAI-compatible server is to this program: something that answers chats over HTTP (OpenAI API reference,
 * "Chat completions"). Models under test and judges are both reached through it. A key never stands in a file: it
 * comes from the environment, through the command line, and is written nowhere.
 */
import type { ConnectionOptions } from "../http/connection.ts";

export interface EndpointOptions extends ConnectionOptions {
  /** The server's name of the model; `url` is the base up to and including the version, `http://127.0.0.1:8000/v1`. */
  readonly model: string;
}

/** In OpenAI's form; an assistant's `tool_calls` and a tool's `tool_call_id` and `name` go over as they are. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
  readonly tool_calls?: readonly unknown[];
  readonly tool_call_id?: string;
  readonly name?: string;
}

/** What is asked, as it goes over the wire; two requests are the same where this is. */
export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  readonly temperature: number;
  readonly maxTokens: number;
  /** Log-probabilities of this many most probable tokens at every place of the answer; 0 asks for none. */
  readonly topLogprobs: number;
  readonly topP?: number;
  readonly seed?: number;
}

/** Parameters that a request can do without where a model does not take them; log-probabilities are none of them. */
export type OmittableParameter = "temperature" | "topP" | "seed";

export interface TokenLogprob {
  readonly token: string;
  /** Nats. */
  readonly logprob: number;
}

export interface ChatReply {
  readonly text: string;
  /** `stop`, `length`, or what else the server calls it. */
  readonly finish: string;
  /** The most probable tokens at each place of the answer; null where the server sent none. */
  readonly topLogprobs: readonly (readonly TokenLogprob[])[] | null;
  /** As the server counts them; null where it does not. */
  readonly promptTokens: number | null;
  readonly answerTokens: number | null;
  /** What the server does not take and was left out of the request: the answer was drawn with its own value. */
  readonly omitted?: readonly OmittableParameter[];
}

export interface Endpoint {
  readonly options: EndpointOptions;
  /**
   * One answer, retried as `options.attempts` allows (`Retry-After` is kept to, else exponential waits with jitter);
   * never more than `options.concurrency` at a time. Throws a `FusechatError` that names the URL and what came back:
   * `input` where no request would fare better (key, model or address are wrong), `failed` where this one has no
   * reply, `interrupted` where the signal ended it.
   */
  chat(request: ChatRequest, signal?: AbortSignal): Promise<ChatReply>;
}
