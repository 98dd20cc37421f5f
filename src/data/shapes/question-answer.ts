/**
 * One question and its answer, under the names in use. Where a record has several questions or answers that differ,
 * nobody can say which is meant, and it is refused.
 */
import type { Turn } from "../conversation.ts";
import { Irregular } from "../irregular.ts";
import { type Content, contentOf } from "./content.ts";
import { lost, reasoningOf, turnsOfList } from "./message-list.ts";
import { historyOf } from "./rounds.ts";
import type { Shape } from "./shape.ts";
import { checkJson, type Foreign, isFilled, isGiven, isObject, textOf } from "./values.ts";

export const ANSWER_KEYS = ["completion", "response", "answer", "output"] as const;
const QUESTION_KEYS = ["prompt", "question", "query"] as const;

/** Alpaca: the input, where there is one, follows the instruction after an empty line. Dolly calls it context. */
export const alpaca: Shape = {
  keys: ["instruction"],
  summary:
    "with `input` or `context`, which follows after an empty line; `output`, `response`, `completion` or `answer`; `history` (Alpaca, Dolly)",
  isList: false,
  recognises: (record) => isGiven(record.instruction),
  turns: (record) => [
    ...historyOf(record.history),
    ...questionOf(record),
    ...answerOf(record, ["output", "response", "completion", "answer"]),
  ],
};

export const questionAnswer: Shape = {
  keys: QUESTION_KEYS,
  summary: "with `completion`, `response`, `answer` or `output`; texts or lists of messages; `history`",
  isList: false,
  recognises: (record) => QUESTION_KEYS.some((key) => isGiven(record[key])),
  turns: (record) => [...historyOf(record.history), ...asContext(questionOf(record)), ...answerOf(record, ANSWER_KEYS)],
};

export const inputOutput: Shape = {
  keys: ["input"],
  summary: "with `output` (NeMo)",
  isList: false,
  recognises: (record) => typeof record.input === "string" && isGiven(record.output),
  turns: (record) => [
    ...historyOf(record.history),
    { role: "user", content: textOf(record.input, "input") },
    ...answerOf(record, ["output"]),
  ],
};

/** The turns that ask, without their history; none where a record asks nothing. */
export function questionOf(record: Foreign): Turn[] {
  if (isGiven(record.instruction)) {
    const instruction = textOf(record.instruction, "instruction");
    const input = same(record, ["input", "context"]);
    const more = input === undefined || !isFilled(record[input]) ? "" : textOf(record[input], input);
    return [{ role: "user", content: more === "" ? instruction : `${instruction}\n\n${more}` }];
  }
  const key = same(record, QUESTION_KEYS);
  if (key === undefined) return [];
  for (const beside of ["context", "input"]) {
    if (isFilled(record[beside]))
      throw lost(beside, `it stands beside ${key}, and how the two are put together is not known`);
  }
  if (Array.isArray(record[key])) return turnsOfList(withoutMasks(record, key), key);
  return [{ role: "user", content: textOf(record[key], key) }];
}

/** Answers within a prompt are what the one answer follows, and not what is learned. */
export function asContext(asked: readonly Turn[]): Turn[] {
  return asked.map((turn) => (turn.role === "assistant" ? { ...turn, trained: false } : turn));
}

/** The one answer of a record, a text or messages, with the reasoning beside it. */
export function answerOf(record: Foreign, keys: readonly string[]): Turn[] {
  const key = same(record, keys) ?? keys[0]!;
  return answerTurns(record, key, reasoningOf(record, "the record"));
}

/** An answer that is a text, one message, or a list of messages. */
export function answerTurns(record: Foreign, key: string, reasoning: string | undefined): Turn[] {
  const value = isObject(record[key]) ? [record[key]] : record[key];
  if (Array.isArray(value) && value.some(isObject)) {
    const turns = turnsOfList(withoutMasks({ ...record, [key]: value }, key), key);
    return reasoning === undefined ? turns : withReasoning(turns, reasoning);
  }
  const said: Content = contentOf(value, key);
  const all = reasoningOf({ reasoning }, key, said.reasoning);
  return [{ role: "assistant", content: said.content, ...(all === undefined ? {} : { reasoning: all }) }];
}

/** Reasoning that stands beside the turns is that of the only answer. */
export function withReasoning(turns: readonly Turn[], reasoning: string): Turn[] {
  const answers = turns.filter(({ role, toolCalls }) => role === "assistant" && toolCalls === undefined);
  const [answer] = answers;
  if (answer === undefined || answers.length > 1) {
    throw new Irregular(
      "with reasoning beside several answers",
      `expected reasoning beside one answer, found ${answers.length} answers; put it into its turn`,
    );
  }
  const all = reasoningOf({ reasoning_content: answer.reasoning, reasoning }, "the record") ?? reasoning;
  return turns.map((turn) => (turn === answer ? { ...turn, reasoning: all } : turn));
}

/** The first of `keys` that is given; undefined where none is. Two that say different things are refused. */
function same(record: Foreign, keys: readonly string[]): string | undefined {
  const filled = keys.filter((key) => isFilled(record[key]));
  const [first] = filled;
  if (filled.length > 1) for (const key of filled) checkJson(record[key], key);
  const other = filled.find((key) => JSON.stringify(record[key]) !== JSON.stringify(record[first!]));
  if (other !== undefined) {
    throw new Irregular(
      "with fields of which nobody can say which is meant",
      `${first} and ${other} differ; expected one of them, for nobody can say which is meant`,
    );
  }
  return first ?? keys.find((key) => isGiven(record[key]));
}

/** Masks of a whole record speak of a whole list; a question or an answer alone has its own or none. */
function withoutMasks(record: Foreign, key: string): Foreign {
  return { [key]: record[key] };
}
