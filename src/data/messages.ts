/**
 * Turns as the messages of a chat template: `role` and `content`, and what a record says beyond them by the names that
 * published templates read.
 */
import type { Turn } from "./conversation.ts";

/** The names by which templates ask a message for its reasoning. */
const REASONING_NAMES = ["reasoning_content", "reasoning", "thinking"] as const;

export type ReasoningName = (typeof REASONING_NAMES)[number];

/** The name by which a template asks for reasoning beside the content, if it does. */
export function reasoningName(template: string): ReasoningName | undefined {
  return REASONING_NAMES.find((name) => new RegExp(`\\.${name}\\b|\\[\\s*['"]${name}['"]\\s*\\]`).test(template));
}

export function messageOf(turn: Turn, reasoning: ReasoningName | undefined): Readonly<Record<string, unknown>> {
  const { role, content, toolCalls, name, toolCallId } = turn;
  return {
    role,
    content,
    ...(turn.reasoning === undefined || reasoning === undefined ? {} : { [reasoning]: turn.reasoning }),
    ...(toolCalls === undefined ? {} : { tool_calls: toolCalls.map(readableCall) }),
    ...(name === undefined ? {} : { name }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
  };
}

/**
 * Servers write a call's arguments as JSON in a text; templates write what they are given as JSON, so a text would come
 * out quoted twice. Arguments that are no JSON stay a text.
 */
function readableCall(call: unknown): unknown {
  if (!isObject(call)) return call;
  const called = isObject(call.function) ? call.function : call;
  if (typeof called.arguments !== "string") return call;
  let read: unknown;
  try {
    read = JSON.parse(called.arguments);
  } catch {
    return call;
  }
  if (!isObject(read)) return call;
  const readable = { ...called, arguments: read };
  return called === call ? readable : { ...call, function: readable };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
