/** Who speaks: the names that people and programs give to the speakers. Case does not count. */
import type { Role } from "../conversation.ts";
import { Irregular } from "../irregular.ts";
import { describe } from "./values.ts";

/** An assistant turn that is nothing but a call: `call` turns hold its JSON as their text. */
export type Speaker = Role | "call";

const NAMES: ReadonlyMap<string, Speaker> = new Map<string, Speaker>([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["human", "user"],
  ["prompter", "user"],
  ["assistant", "assistant"],
  ["gpt", "assistant"],
  ["chatgpt", "assistant"],
  ["bing", "assistant"],
  ["bard", "assistant"],
  ["model", "assistant"],
  ["bot", "assistant"],
  ["chatbot", "assistant"],
  ["ai", "assistant"],
  ["tool", "tool"],
  ["function", "tool"],
  ["observation", "tool"],
  ["ipython", "tool"],
  ["tool_response", "tool"],
  ["function_response", "tool"],
  ["function_call", "call"],
  ["tool_call", "call"],
]);

export const ROLE_NAMES: readonly string[] = [...NAMES.keys()];

/** The speaker of a name, or undefined. */
export function speakerNamed(name: unknown): Speaker | undefined {
  return typeof name === "string" ? NAMES.get(name.trim().toLowerCase()) : undefined;
}

export function speakerOf(name: unknown, where: string): Speaker {
  const speaker = speakerNamed(name);
  if (speaker !== undefined) return speaker;
  throw new Irregular(
    "with a speaker that is not known",
    `expected ${where} to be one of ${ROLE_NAMES.join(", ")}, found ${describe(name)}`,
  );
}
