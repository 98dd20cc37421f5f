/**
 * The shapes of records, in the order in which they are looked for: published files often hold the same conversation
 * in two shapes, and the first that a record has counts. A new shape is one file and one line here.
 */
import { conversation, conversations, items, messages, turns } from "./messages.ts";
import { preference } from "./preference.ts";
import { alpaca, inputOutput, questionAnswer } from "./question-answer.ts";
import { rounds } from "./rounds.ts";
import type { Shape } from "./shape.ts";
import { ultrachat } from "./ultrachat.ts";

export const SHAPES: readonly Shape[] = [
  preference,
  turns,
  messages,
  conversations,
  conversation,
  rounds,
  items,
  alpaca,
  ultrachat,
  questionAnswer,
  inputOutput,
];
