/**
 * One record of a data file as a conversation. What a record says beside its turns and changes what a model is shown or
 * trained on is used, or the record is refused with its reason; ids and scores change nothing and are left.
 */
import { type Conversation, conversationId, type Turn } from "../conversation.ts";
import { Irregular, type Problem } from "../irregular.ts";
import { SHAPES } from "./index.ts";
import { checkVerdicts } from "./masks.ts";
import { lost, reasoningOf, refuseUnreadable } from "./message-list.ts";
import { checkOrder, checkTrained } from "./order.ts";
import { ANSWER_KEYS, asContext, questionOf, withReasoning } from "./question-answer.ts";
import { speakerNamed } from "./roles.ts";
import { historyOf } from "./rounds.ts";
import { toolsOf } from "./tool-calls.ts";
import { DESCRIBED, describe, type Foreign, isFilled, isGiven, isObject, textOf } from "./values.ts";

export type Parsed = { readonly conversation: Conversation } | { readonly problem: Problem };

const SYSTEM_KEYS = ["system", "system_prompt", "system_message"] as const;

/** Reads one record of any of the shapes. */
export function parseRecord(record: unknown): Parsed {
  return parse(record, true);
}

/** The same of a record that need not have an answer: its turns may end with a question. */
export function parseQuestion(record: unknown): Parsed {
  return parse(record, false);
}

function parse(record: unknown, needsAnswer: boolean): Parsed {
  if (!isObject(record)) {
    return {
      problem: { reason: "that are no objects", sentence: `expected a JSON object, found ${describe(record)}` },
    };
  }
  // Not thrown: all of half a million records may be of no shape, and what is thrown takes longer than looking.
  const shape = SHAPES.find(({ recognises }) => recognises(record));
  if (shape === undefined) return { problem: unknownShape(record) };
  try {
    return { conversation: conversationOf(record, shape, needsAnswer) };
  } catch (error) {
    if (error instanceof Irregular) return { problem: { reason: error.reason, sentence: error.message } };
    throw error;
  }
}

/** Whether a value is a record of any shape, readable or not. */
export function looksLikeRecord(value: unknown): boolean {
  return isObject(value) && SHAPES.some((shape) => shape.recognises(value));
}

function unknownShape(record: Foreign): Problem {
  const keys = Object.keys(record);
  // Of each key and of all of them no more than the sentence has room for.
  const few = keys.slice(0, DESCRIBED + 1).map((key) => key.slice(0, DESCRIBED + 1));
  const found = keys.length === 0 ? "none" : describe(few.join(", "));
  return {
    reason: "of a shape that is not known",
    sentence: `expected one of ${knownKeys()}, found the keys ${found}`,
  };
}

function conversationOf(record: Foreign, shape: (typeof SHAPES)[number], needsAnswer: boolean): Conversation {
  checkVerdicts(record);
  checkNamedMask(record);
  refuseUnreadable(record, "");
  const isQuestion = !needsAnswer && !shape.isList && !ANSWER_KEYS.some((key) => isFilled(record[key]));
  const asked = isQuestion ? [...historyOf(record.history), ...asContext(questionOf(record))] : [];
  const read = asked.length > 0 ? asked : shape.turns(record);
  if (shape.isList) refuseBesideList(record, read);
  const reasoning = shape.isList ? reasoningOf(record, "the record") : undefined;
  const turns = withSystem(record, isFilled(reasoning) ? withReasoning(read, reasoning!) : read);
  checkOrder(turns);
  if (needsAnswer) checkTrained(turns);
  const tools = toolsOf(isObject(record.input) ? record.input : record);
  return {
    id: conversationId(turns, tools),
    turns,
    ...(tools === undefined ? {} : { tools }),
    ...labels(record),
  };
}

/** Told of each of perhaps hundreds of thousands of records, so put together once, when all shapes are there. */
function knownKeys(): string {
  keysOfShapes ??= [...new Set(SHAPES.flatMap((shape) => shape.keys))].join(", ");
  return keysOfShapes;
}

let keysOfShapes: string | undefined;

/** The system text may stand beside the turns. */
function withSystem(record: Foreign, turns: Turn[]): Turn[] {
  const own = turns[0]?.role === "system" ? turns[0].content : undefined;
  const beside = SYSTEM_KEYS.filter((key) => isFilled(record[key])).map((key) => textOf(record[key], key));
  const [text] = beside;
  if (text === undefined) return turns;
  if (beside.some((other) => other !== text) || (own !== undefined && own !== text)) {
    throw new Irregular("with two system texts that differ", "the record has two system texts that differ; keep one");
  }
  return own === undefined ? [{ role: "system", content: text }, ...turns] : turns;
}

/** What a list of turns leaves out must not stand beside it as a text. */
function refuseBesideList(record: Foreign, turns: readonly Turn[]): void {
  if (isFilled(record.history)) throw lost("history", "it stands beside a list of turns; put it into the list");
  const { instruction } = record;
  const isKnown = typeof instruction !== "string" || turns.some(({ content }) => content.includes(instruction.trim()));
  if (!isKnown) throw lost("instruction", "it stands beside a list of turns and is in none of them; put it into one");
  const answer = ANSWER_KEYS.find((key) => isFilled(record[key]));
  if (answer !== undefined && turns.at(-1)?.role !== "assistant") {
    throw lost(answer, "the turns beside it end with a question; put the answer into the list");
  }
}

/** NeMo names the speaker whose turns are masked. */
function checkNamedMask(record: Foreign): void {
  if (!isFilled(record.mask) || speakerNamed(record.mask) === "user") return;
  throw new Irregular(
    "with a mask that can mean both",
    `expected mask to name the user, whose turns are always context, found ${describe(record.mask)}`,
  );
}

/** Nats; of a conversation of a megabyte some ten million under any distribution that could have drawn it. */
const LARGEST_FLOOR = 1e9;

function isFloor(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= LARGEST_FLOOR;
}

/** Keys of what kind of conversation it is; the first with a text counts. Anything else under them is somebody's own. */
const CATEGORY_KEYS = ["category", "dataset", "source"] as const;
/** Longer texts are no names of kinds. */
const LONGEST_CATEGORY = 200;

function labels(record: Foreign): { skill?: string; category?: string; floorNats?: number } {
  const { skill, floor_nats: floorNats } = record;
  if (isGiven(skill) && typeof skill !== "string") {
    throw new Irregular("with a skill that is no text", `expected skill to be a text, found ${describe(skill)}`);
  }
  if (isGiven(floorNats) && !isFloor(floorNats)) {
    throw new Irregular(
      "with a floor that is no number",
      `expected floor_nats to be a number of 0 to ${LARGEST_FLOOR}, found ${describe(floorNats)}`,
    );
  }
  const category = CATEGORY_KEYS.map((key) => record[key]).find(
    (value) => typeof value === "string" && value !== "" && value.length <= LONGEST_CATEGORY,
  );
  return {
    ...(typeof skill === "string" ? { skill } : {}),
    ...(typeof category === "string" ? { category } : {}),
    ...(typeof floorNats === "number" ? { floorNats } : {}),
  };
}
