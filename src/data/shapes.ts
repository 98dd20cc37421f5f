/**
 * One record of a data file as a conversation, in the four shapes that are in use: turns (ours), OpenAI `messages`,
 * ShareGPT `conversations` and Alpaca instructions. Nothing is mended: what does not fit is refused with its reason.
 */
import { type Conversation, conversationId, type Role, type Turn } from "./conversation.ts";

/** A conversation, or what was expected and what was found. */
export type Parsed = { readonly conversation: Conversation } | { readonly problem: string };

const ROLES: Readonly<Record<string, Role>> = { system: "system", user: "user", assistant: "assistant" };

/** ShareGPT's names of the speakers. */
const SPEAKERS: Readonly<Record<string, Role>> = { ...ROLES, human: "user", gpt: "assistant" };

/** Half of a surrogate pair: not a character, and nothing that UTF-8 can hold. */
const LONE_SURROGATE = /\p{Surrogate}/u;

class Refusal extends Error {}

/** Reads one record of any of the shapes. */
export function parseRecord(record: unknown): Parsed {
  try {
    if (!isObject(record)) throw new Refusal(`expected a JSON object, found ${describe(record)}`);
    const turns = turnsOf(record);
    checkOrder(turns);
    return { conversation: { id: conversationId(turns), turns, ...labels(record) } };
  } catch (error) {
    if (error instanceof Refusal) return { problem: error.message };
    throw error;
  }
}

function turnsOf(record: Readonly<Record<string, unknown>>): Turn[] {
  // Published Alpaca files also carry the same conversation as messages: the first of the shapes that is given counts.
  const key = ["turns", "messages", "conversations", "instruction"].find((name) => isGiven(record[name]));
  if (key === undefined) {
    const keys = Object.keys(record).join(", ") || "none";
    throw new Refusal(`expected one of turns, messages, conversations or instruction, found the keys ${keys}`);
  }
  if (key === "instruction") return alpacaTurns(record);
  const [roleKey, textKey, roles] =
    key === "conversations" ? (["from", "value", SPEAKERS] as const) : (["role", "content", ROLES] as const);
  const list = record[key];
  if (!Array.isArray(list)) throw new Refusal(`expected ${key} to be a list, found ${describe(list)}`);
  const turns = list.map((entry: unknown, index): Turn => {
    const where = `${key}[${index}]`;
    if (!isObject(entry)) throw new Refusal(`expected ${where} to be an object, found ${describe(entry)}`);
    const name = entry[roleKey];
    const role = typeof name === "string" && Object.hasOwn(roles, name) ? roles[name] : undefined;
    if (role === undefined) {
      throw new Refusal(`expected ${where}.${roleKey} to be ${Object.keys(roles).join(", ")}, found ${describe(name)}`);
    }
    return { role, content: textOf(entry[textKey], `${where}.${textKey}`) };
  });
  // ShareGPT files may keep the system text beside the list.
  if (key === "conversations" && isGiven(record.system) && record.system !== "") {
    turns.unshift({ role: "system", content: textOf(record.system, "system") });
  }
  return turns;
}

function alpacaTurns(record: Readonly<Record<string, unknown>>): Turn[] {
  if (Array.isArray(record.history) && record.history.length > 0) {
    throw new Refusal("expected a single question, found a history, which the Alpaca shape does not have");
  }
  const instruction = textOf(record.instruction, "instruction");
  const input = isGiven(record.input) ? textOf(record.input, "input") : "";
  const turns: Turn[] = [
    { role: "user", content: input === "" ? instruction : `${instruction}\n\n${input}` },
    { role: "assistant", content: textOf(record.output, "output") },
  ];
  if (isGiven(record.system) && record.system !== "") {
    turns.unshift({ role: "system", content: textOf(record.system, "system") });
  }
  return turns;
}

/** An optional system turn, then user and assistant turn by turn, beginning with the user. */
function checkOrder(turns: readonly Turn[]): void {
  const first = turns[0]?.role === "system" ? 1 : 0;
  if (turns.length === first) {
    throw new Refusal(`expected a user turn, found ${first === 0 ? "no turns" : "nothing but a system turn"}`);
  }
  for (let i = first; i < turns.length; i++) {
    const expected = (i - first) % 2 === 0 ? "user" : "assistant";
    const found = turns[i]!.role;
    if (found !== expected) throw new Refusal(`expected turn ${i} to be of the ${expected}, found ${found}`);
  }
}

function labels(record: Readonly<Record<string, unknown>>): { skill?: string; floorNats?: number } {
  const { skill, floor_nats: floorNats } = record;
  if (isGiven(skill) && typeof skill !== "string")
    throw new Refusal(`expected skill to be a text, found ${describe(skill)}`);
  if (isGiven(floorNats) && (typeof floorNats !== "number" || !Number.isFinite(floorNats) || floorNats < 0)) {
    throw new Refusal(`expected floor_nats to be a number of at least 0, found ${describe(floorNats)}`);
  }
  return {
    ...(typeof skill === "string" ? { skill } : {}),
    ...(typeof floorNats === "number" ? { floorNats } : {}),
  };
}

function textOf(value: unknown, where: string): string {
  if (typeof value !== "string") throw new Refusal(`expected ${where} to be a text, found ${describe(value)}`);
  if (LONE_SURROGATE.test(value)) throw new Refusal(`${where} has half of a surrogate pair, which is no character`);
  return value;
}

/** Parquet gives null for columns that a row does not fill. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  const text = typeof value === "bigint" ? String(value) : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
