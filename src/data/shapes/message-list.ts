/**
 * A list of turns, as most shapes have one: objects with `role` and `content`, or with `from` and `value`, and whatever
 * else they say of their turn. What a turn says that nothing can be done with is refused, never dropped.
 */
import type { Turn } from "../conversation.ts";
import { Irregular } from "../irregular.ts";
import { contentOf, REASONING_KEYS } from "./content.ts";
import { listedMasks, maskOf, refuseMaskedParts } from "./masks.ts";
import { type Speaker, speakerNamed, speakerOf } from "./roles.ts";
import { callsIn, toolCallsOf } from "./tool-calls.ts";
import { describe, type Foreign, isFilled, isGiven, isObject, listOf, textOf } from "./values.ts";

const ROLE_KEYS = ["role", "from"] as const;
const TEXT_KEYS = ["content", "value", "text"] as const;

/** What a turn may hold and no model of text can be shown. */
export const UNREADABLE_KEYS: readonly string[] = [
  ...["images", "image", "videos", "video", "audios", "audio"],
  ...["refusal", "documents", "chat_template_kwargs"],
];

/** Whether a value looks like a turn, and not like a record. */
export function isEntry(value: unknown): boolean {
  return isObject(value) && ROLE_KEYS.some((key) => isGiven(value[key]));
}

/** The turns of the list at `key`; masks may stand in the record beside it. */
export function turnsOfList(record: Foreign, key: string): Turn[] {
  const list = listOf(record[key], key);
  const masks = listedMasks(record, list.length);
  const turns: Turn[] = [];
  let previous: Speaker | undefined;
  for (const [index, entry] of list.entries()) {
    const where = `${key}[${index}]`;
    if (!isObject(entry)) {
      throw new Irregular(
        "with a turn that is no object",
        `expected ${where} to be an object, found ${describe(entry)}`,
      );
    }
    const [speaker, turn] = turnOf(entry, where, masks?.[index]);
    const last = turns.at(-1);
    // Calls made at once are written one a turn by some; they are one turn of the assistant.
    if (speaker === "call" && previous === "call" && last?.toolCalls !== undefined && turn.toolCalls !== undefined) {
      turns[turns.length - 1] = { ...last, toolCalls: [...last.toolCalls, ...turn.toolCalls] };
    } else {
      turns.push(turn);
    }
    previous = speaker;
  }
  return turns;
}

function turnOf(entry: Foreign, where: string, listed: boolean | undefined): readonly [Speaker, Turn] {
  const speaker = speakerOf(...given(entry, ROLE_KEYS, where, (value) => speakerNamed(value) ?? value));
  refuseUnreadable(entry, `${where}.`);
  for (const key of ["tools", "functions"]) {
    if (isFilled(entry[key])) throw lost(`${where}.${key}`, "tools stand beside the turns, not in one");
  }
  const [value, place] = given(entry, TEXT_KEYS, where, (value) => value);
  if (Array.isArray(value)) refuseMaskedParts(value, place);
  const calls = toolCallsOf(entry, where);
  if (calls !== undefined && speaker !== "assistant") {
    throw new Irregular(
      "with tool calls of another than the assistant",
      `${where} has tool calls, and is no assistant's`,
    );
  }
  const isBare = calls !== undefined && !isGiven(value);
  const said = isBare ? { content: "" } : contentOf(value, place);
  const trained = maskHere(entry, where, listed);
  if (trained === true && speaker !== "assistant" && speaker !== "call") {
    throw new Irregular(
      "that ask to train on another's turn",
      `${where} asks to be trained on, and only an assistant's turns are`,
    );
  }
  const more = {
    ...textField(entry, "name", "name", where),
    ...textField(entry, "tool_call_id", "toolCallId", where),
    ...(trained === false && (speaker === "assistant" || speaker === "call") ? { trained } : {}),
  };
  if (speaker === "call") {
    return [speaker, { role: "assistant", content: "", toolCalls: callsIn(said.content, place), ...more }];
  }
  const reasoning = reasoningOf(entry, where, said.reasoning);
  if (isFilled(reasoning) && speaker !== "assistant") throw lost(where, "it has reasoning, and is no assistant's");
  const { content } = said;
  return [
    speaker,
    {
      role: speaker,
      content,
      ...(reasoning === undefined || speaker !== "assistant" ? {} : { reasoning }),
      ...(calls === undefined ? {} : { toolCalls: calls }),
      ...more,
    },
  ];
}

function maskHere(entry: Foreign, where: string, listed: boolean | undefined): boolean | undefined {
  const own = maskOf(entry, where);
  if (own !== undefined && listed !== undefined && own !== listed) {
    throw new Irregular("with masks that disagree", `${where} and the masks of its record disagree; keep one of them`);
  }
  // Lists of masks have a value for every turn; of another's turn 1 asks for training as well.
  return own ?? listed;
}

/** The first of `keys` that is given; two that say different things are refused. */
function given(
  entry: Foreign,
  keys: readonly string[],
  where: string,
  meaning: (value: unknown) => unknown,
): [value: unknown, where: string] {
  const [key, ...others] = keys.filter((name) => isGiven(entry[name]));
  if (key === undefined) return [undefined, `${where}.${keys[0]}`];
  const other = others.find((name) => meaning(entry[name]) !== meaning(entry[key]));
  if (other !== undefined) throw lost(where, `${key} and ${other} differ; keep one of them`);
  return [entry[key], `${where}.${key}`];
}

/** What was thought before the answer, from its field or from the parts of the content. */
export function reasoningOf(entry: Foreign, where: string, inParts?: string): string | undefined {
  const texts = REASONING_KEYS.filter((key) => isGiven(entry[key])).map((key) => textOf(entry[key], `${where}.${key}`));
  if (inParts !== undefined) texts.push(inParts);
  const filled = texts.filter((text) => text !== "");
  if (filled.some((text) => text !== filled[0])) {
    throw new Irregular("with two texts of reasoning that differ", `${where} has two texts of reasoning that differ`);
  }
  if (filled.length === 0 && isFilled(entry.reasoning_details)) {
    throw lost(`${where}.reasoning_details`, "reasoning is read from reasoning_content, reasoning or thinking");
  }
  return filled[0] ?? texts[0];
}

/** Refuses what would change the text that a model is shown. */
export function refuseUnreadable(entry: Foreign, prefix: string): void {
  for (const key of UNREADABLE_KEYS) {
    if (isFilled(entry[key])) throw lost(`${prefix}${key}`, "it cannot be shown to a model of text and would be lost");
  }
}

export function lost(where: string, why: string): Irregular {
  return new Irregular("with a part that would be lost", `${where}: ${why}`);
}

function textField(entry: Foreign, from: string, to: "name" | "toolCallId", where: string): Partial<Turn> {
  return isFilled(entry[from]) ? { [to]: textOf(entry[from], `${where}.${from}`) } : {};
}
