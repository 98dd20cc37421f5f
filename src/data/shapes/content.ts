/** What a turn says: a text, or a list of parts that are all text; parts of thinking become the turn's reasoning. */
import { Irregular } from "../irregular.ts";
import { describe, isGiven, isObject, textOf } from "./values.ts";

export interface Content {
  readonly content: string;
  readonly reasoning?: string;
}

const TEXT_PARTS: readonly unknown[] = ["text", "input_text", "output_text"];
const THINKING_PARTS: readonly unknown[] = ["thinking", "reasoning"];

/** Where a record keeps what was thought before the answer. */
export const REASONING_KEYS = ["reasoning_content", "reasoning", "thinking"] as const;

export function contentOf(value: unknown, where: string): Content {
  if (!Array.isArray(value)) return { content: textOf(value, where) };
  let content = "";
  let reasoning: string | undefined;
  for (const [index, part] of value.entries()) {
    const place = `${where}[${index}]`;
    if (typeof part === "string") {
      content += textOf(part, place);
    } else if (isObject(part) && THINKING_PARTS.includes(part.type)) {
      reasoning = (reasoning ?? "") + thinkingOf(part.thinking ?? part.reasoning ?? part.text, place);
    } else if (isObject(part) && (TEXT_PARTS.includes(part.type) || (!isGiven(part.type) && isGiven(part.text)))) {
      content += textOf(part.text, `${place}.text`);
    } else {
      const found = isObject(part) ? `one of type ${describe(part.type)}` : describe(part);
      throw new Irregular("with content that is not text", `expected ${place} to be a part of text, found ${found}`);
    }
  }
  return { content, ...(reasoning === undefined ? {} : { reasoning }) };
}

/** Some write thinking as parts of text within the part. */
function thinkingOf(value: unknown, where: string): string {
  if (!Array.isArray(value)) return textOf(value, where);
  return value.map((part, index) => textOf(isObject(part) ? part.text : part, `${where}[${index}]`)).join("");
}
