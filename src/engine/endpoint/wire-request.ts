/**
 * A chat request as it goes over the wire. Servers differ in small ways: some models take `max_completion_tokens` for
 * `max_tokens`, or no temperature but their own, or no seed. What a server refuses by name is remembered as its
 * dialect; what was left out is told with the reply, because the answer was then drawn otherwise than asked.
 */
import { type Table, tableOf } from "../../table.ts";
import type { ChatRequest, OmittableParameter } from "./endpoint.ts";

export interface Dialect {
  readonly maxTokens: "max_tokens" | "max_completion_tokens";
  readonly omitted: readonly OmittableParameter[];
}

export const PLAIN: Dialect = { maxTokens: "max_tokens", omitted: [] };

const OMITTABLE: Table<OmittableParameter> = tableOf({
  temperature: "temperature",
  top_p: "topP",
  seed: "seed",
});

/** The dialect without a parameter that the server has refused; null where it is without already or cannot be. */
export function learn({ maxTokens, omitted }: Dialect, refused: string): Dialect | null {
  if (refused === "max_tokens") {
    return maxTokens === "max_tokens" ? { maxTokens: "max_completion_tokens", omitted } : null;
  }
  const name = OMITTABLE[refused];
  return name === undefined || omitted.includes(name) ? null : { maxTokens, omitted: [...omitted, name] };
}

export function wireBody(
  model: string,
  request: ChatRequest,
  { maxTokens, omitted }: Dialect,
): Record<string, unknown> {
  const { messages, temperature, topLogprobs, topP, seed } = request;
  const has = (name: OmittableParameter): boolean => request[name] !== undefined && !omitted.includes(name);
  return {
    model,
    messages: messages.map(({ role, content, tool_calls, tool_call_id, name }) => ({
      role,
      content,
      ...(tool_calls === undefined ? {} : { tool_calls }),
      ...(tool_call_id === undefined ? {} : { tool_call_id }),
      ...(name === undefined ? {} : { name }),
    })),
    ...(has("temperature") ? { temperature } : {}),
    [maxTokens]: request.maxTokens,
    ...(topLogprobs > 0 ? { logprobs: true, top_logprobs: topLogprobs } : {}),
    ...(has("topP") ? { top_p: topP } : {}),
    ...(has("seed") ? { seed } : {}),
  };
}
