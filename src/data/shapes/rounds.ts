/** Rounds of question and answer, oldest first, before the last question: `history`, and XTuner's `conversation`. */
import type { Turn } from "../conversation.ts";
import { Irregular } from "../irregular.ts";
import { maskOf } from "./masks.ts";
import type { Shape } from "./shape.ts";
import { isFilled, isGiven, isObject, listOf, textOf } from "./values.ts";

/** The turns of `history: [["question", "answer"], …]`; none where there is no history. */
export function historyOf(value: unknown): Turn[] {
  if (!isFilled(value)) return [];
  return listOf(value, "history").flatMap((round, index): Turn[] => {
    const where = `history[${index}]`;
    const pair = listOf(round, where);
    if (pair.length !== 2) {
      throw new Irregular(
        "with a history that is not in pairs",
        `expected ${where} to be a question and its answer, found ${pair.length} texts`,
      );
    }
    return [
      { role: "user", content: textOf(pair[0], `${where}[0]`) },
      { role: "assistant", content: textOf(pair[1], `${where}[1]`) },
    ];
  });
}

const QUESTION_KEYS = ["input", "human", "user"] as const;
const ANSWER_KEYS = ["output", "assistant", "gpt"] as const;

export const rounds: Shape = {
  keys: ["conversation"],
  summary:
    "rounds: objects with `input` and `output`, or `human` and `assistant`; the first may have `system` (XTuner)",
  isList: true,
  recognises: ({ conversation }) =>
    Array.isArray(conversation) &&
    conversation.length > 0 &&
    conversation.every((round) => isObject(round) && ANSWER_KEYS.some((key) => isGiven(round[key]))),
  turns: ({ conversation }) =>
    (conversation as readonly Readonly<Record<string, unknown>>[]).flatMap((round, index): Turn[] => {
      const where = `conversation[${index}]`;
      const textAt = (keys: readonly string[]): string => {
        const key = keys.find((name) => isGiven(round[name])) ?? keys[0]!;
        return textOf(round[key], `${where}.${key}`);
      };
      const masked = maskOf(round, where) === false;
      return [
        ...(isFilled(round.system)
          ? [{ role: "system", content: textOf(round.system, `${where}.system`) } as const]
          : []),
        { role: "user", content: textAt(QUESTION_KEYS) },
        { role: "assistant", content: textAt(ANSWER_KEYS), ...(masked ? { trained: false as const } : {}) },
      ];
    }),
};
