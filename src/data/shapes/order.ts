/**
 * The order of turns: an optional system turn, then user and assistant by turns, the user first. An assistant's tool
 * calls may be followed by the tools' turns, and these by the assistant.
 */
import { isTrained, type Role, type Turn } from "../conversation.ts";
import { Irregular } from "../irregular.ts";

type Place = "start" | "user" | "assistant" | "calls" | "tool";

const NEXT: Readonly<Record<Place, readonly Role[]>> = {
  start: ["user"],
  user: ["assistant"],
  assistant: ["user"],
  calls: ["tool", "user"],
  tool: ["assistant", "tool"],
};

const WORDS: Readonly<Record<Place, string>> = {
  start: "at the start",
  user: "after a turn of the user",
  assistant: "after a turn of the assistant",
  calls: "after tool calls",
  tool: "after a turn of a tool",
};

export function checkOrder(turns: readonly Turn[]): void {
  const first = turns[0]?.role === "system" ? 1 : 0;
  if (turns.length === first) {
    throw new Irregular(
      "without turns",
      `expected a user turn, found ${first === 0 ? "no turns" : "nothing but a system turn"}`,
    );
  }
  let place: Place = "start";
  for (const [index, turn] of turns.entries()) {
    if (index < first) continue;
    const expected: readonly Role[] = NEXT[place];
    if (!expected.includes(turn.role)) {
      throw new Irregular(
        `with a turn of the ${turn.role} ${WORDS[place]}`,
        `expected turn ${index} to be of the ${expected.join(" or ")}, found ${turn.role}`,
      );
    }
    place = turn.role === "assistant" && turn.toolCalls !== undefined ? "calls" : (turn.role as Place);
  }
}

/** Nothing can be learned from a record without an answer of the assistant's own that its author wants trained. */
export function checkTrained(turns: readonly Turn[]): void {
  if (turns.some(isTrained)) return;
  const answers = turns.filter(({ role }) => role === "assistant");
  const found =
    answers.length === 0
      ? "no turn of the assistant"
      : answers.every(({ toolCalls }) => toolCalls !== undefined)
        ? "nothing but tool calls, which give no rows"
        : "none that is not masked";
  throw new Irregular("without an answer to train on", `expected an answer to train on, found ${found}`);
}
