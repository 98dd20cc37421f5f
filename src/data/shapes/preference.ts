/**
 * Preference pairs: the chosen half is trained, the rejected one is never read. The chosen half may be the answer alone
 * (a text, a message) after a prompt, or the whole conversation.
 */
import type { Turn } from "../conversation.ts";
import { Irregular } from "../irregular.ts";
import { reasoningOf, turnsOfList } from "./message-list.ts";
import { answerTurns, asContext, questionOf } from "./question-answer.ts";
import { historyOf } from "./rounds.ts";
import type { Shape } from "./shape.ts";
import { describe, type Foreign, isGiven, isObject } from "./values.ts";

const CHOSEN_KEYS = ["chosen", "chosen_response", "preferred_output"] as const;
const LIST_KEYS = ["turns", "messages", "conversations"] as const;

export const preference: Shape = {
  keys: CHOSEN_KEYS,
  summary:
    "the chosen half of a preference pair: the answer to a prompt, question, instruction or list of messages, or a whole conversation; the rejected half is never trained",
  isList: false,
  recognises: (record) => chosenKey(record) !== undefined,
  turns: (record) => {
    const key = chosenKey(record)!;
    const value = record[key];
    if (typeof value !== "string" && typeof value !== "object") {
      throw new Irregular(
        "with a chosen half that is no answer",
        `expected ${key} to be a text, a message or a list of messages, found ${describe(value)}`,
      );
    }
    const answer = answerTurns(record, key, reasoningOf(record, "the record"));
    const asked = contextOf(record);
    return answer.some(({ role }) => role === "user") ? whole(answer, asked, key) : after(asked, answer, key);
  },
};

function chosenKey(record: Foreign): string | undefined {
  return CHOSEN_KEYS.find((key) => isGiven(record[key]) && typeof record[key] !== "boolean");
}

/** What stands before the chosen answer. OpenAI keeps it in `input`. */
function contextOf(record: Foreign): Turn[] {
  const inner = isObject(record.input) ? record.input : record;
  const key = LIST_KEYS.find((name) => isGiven(inner[name]));
  return [...historyOf(record.history), ...(key === undefined ? questionOf(record) : turnsOfList(inner, key))];
}

function after(asked: readonly Turn[], answer: readonly Turn[], key: string): Turn[] {
  if (asked.length === 0) {
    throw new Irregular(
      "with a chosen half and no prompt",
      `expected a prompt, a question or messages beside ${key}, found none: its turns cannot be told apart`,
    );
  }
  // Some files give the pair, and the conversation with the chosen answer in it as well.
  const isThere = asked.length > answer.length && startsWith(asked.slice(-answer.length), answer);
  return [...asContext(isThere ? asked.slice(0, -answer.length) : asked), ...answer];
}

/** A whole conversation is taken as it stands; what is asked beside it must be a part of it. */
function whole(conversation: readonly Turn[], asked: readonly Turn[], key: string): Turn[] {
  const [question] = asked;
  const isOneOfIts =
    asked.length === 1 &&
    conversation.some(({ role, content }) => role === "user" && content.trim() === question?.content.trim());
  if (asked.length === 0 || isOneOfIts || startsWith(conversation, asked)) return [...conversation];
  throw new Irregular(
    "with a prompt that is not in the chosen half",
    `${key} is a whole conversation, and the prompt beside it is another; keep one of them`,
  );
}

function startsWith(turns: readonly Turn[], first: readonly Turn[]): boolean {
  return first.length <= turns.length && JSON.stringify(turns.slice(0, first.length)) === JSON.stringify(first);
}
