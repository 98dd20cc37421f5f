/** Lists of messages: ours, OpenAI's and ShareGPT's. The names of the fields may be mixed, as published files mix them. */

import { isEntry, turnsOfList } from "./message-list.ts";
import type { Shape } from "./shape.ts";
import { isGiven, parsedJson } from "./values.ts";

function messageShape(key: string, summary: string): Shape {
  return {
    keys: [key],
    summary,
    isList: true,
    // As a number it says how many there are.
    recognises: (record) => isGiven(record[key]) && !["number", "boolean"].includes(typeof record[key]),
    turns: (record) => turnsOfList(record, key),
  };
}

const WORDS = "turns: objects with `role` and `content`, or `from` and `value`";

export const turns: Shape = messageShape("turns", `${WORDS}; what every stage writes`);
export const messages: Shape = messageShape("messages", `${WORDS} (OpenAI)`);
export const conversations: Shape = messageShape("conversations", `${WORDS} (ShareGPT)`);

/** `conversation` and `items` are also the names of other things, so their entries have to look like turns. */
function messageShapeOf(key: string, summary: string): Shape {
  return {
    ...messageShape(key, summary),
    recognises: (record) => {
      const list = typeof record[key] === "string" ? parsedJson(record[key]) : record[key];
      return Array.isArray(list) && list.length > 0 && list.every(isEntry);
    },
  };
}

export const conversation: Shape = messageShapeOf("conversation", `${WORDS} (WildChat, LMSYS)`);
export const items: Shape = messageShapeOf("items", `${WORDS} (OpenChat)`);
