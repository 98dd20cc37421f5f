/** Conversations as questions: the last answer is the reference, what comes before it is asked. */
import type { ReadConversations } from "../../../data/read.ts";
import { inputError } from "../../../errors.ts";
import type { Reasoning } from "../../reasoning.ts";
import type { Dialogue } from "../../subjects/subject.ts";
import type { Rule } from "./rule.ts";

export interface Question {
  readonly dialogue: Dialogue;
  readonly skill?: string;
  /** What the rule finds in the reference answer. */
  readonly expected: string;
}

/** All questions of the conversations of `path`, in order. A reference in which the rule finds nothing is an error. */
export function questionsOf(
  { conversations }: ReadConversations,
  path: string,
  rule: Rule,
  reasoning: Reasoning,
): Question[] {
  const seen = new Map<string, number>();
  return conversations.map(({ id, turns, tools, skill }, index) => {
    const where = `${path}: conversation ${index + 1}`;
    const reference = turns.at(-1)!;
    if (reference.role !== "assistant") {
      throw inputError(where, "expected an answer as its last turn, to compare with, found a question");
    }
    if (tools !== undefined || turns.some(({ role, toolCalls }) => role === "tool" || toolCalls !== undefined)) {
      throw inputError(where, "expected questions and answers alone, found tools, with which no model is asked here");
    }
    const expected = rule.extract(reference.content, reasoning);
    if (expected === null) {
      const start = reference.content.length > 60 ? `${reference.content.slice(0, 60)}…` : reference.content;
      throw inputError(
        where,
        `the rule ${rule.name} (${rule.summary}) finds nothing in its answer ${JSON.stringify(start)}; choose another --rule`,
      );
    }
    const before = seen.get(id) ?? 0;
    seen.set(id, before + 1);
    const unique = before === 0 ? id : `${id}/${before}`;
    const dialogue = { id: unique, turns: turns.slice(0, -1) };
    return { dialogue, expected, ...(skill === undefined ? {} : { skill }) };
  });
}
