/** UltraChat: `data` holds the texts alone, the user's first. */

import { listedMasks } from "./masks.ts";
import type { Shape } from "./shape.ts";
import { isGiven, textOf } from "./values.ts";

export const ultrachat: Shape = {
  keys: ["data"],
  summary: "a list of texts, question and answer by turns (UltraChat)",
  isList: true,
  recognises: ({ data }) => Array.isArray(data) && data.some((text) => isGiven(text) && typeof text === "string"),
  turns: (record) => {
    const texts = record.data as readonly unknown[];
    const masks = listedMasks(record, texts.length);
    return texts.map((text, index) => ({
      role: index % 2 === 0 ? "user" : "assistant",
      content: textOf(text, `data[${index}]`),
      ...(index % 2 === 1 && masks?.[index] === false ? { trained: false as const } : {}),
    }));
  },
};
