/**
 * Foreign values in messages: a few words of whatever it is. Nothing here recurses deeper than it shows, calls a method
 * of the value, or makes a text that is longer than it gives.
 */

/** Levels of lists and objects that are shown. */
const DEEPEST = 4;
const LONGEST = 80;

/** A value as JSON spells it, cut to a part of a line; `nothing` where there is none. */
export function excerptOf(value: unknown, longest: number = LONGEST): string {
  if (value === undefined) return "nothing";
  const parts: string[] = [];
  let room = longest + 1;
  const put = (text: string): void => {
    parts.push(text);
    room -= text.length;
  };
  const show = (part: unknown, depth: number): void => {
    if (room <= 0) return;
    if (typeof part === "string") put(JSON.stringify(part.slice(0, room)));
    else if (typeof part !== "object" || part === null) put(plainWord(part));
    else if (depth === DEEPEST) put(Array.isArray(part) ? "[…]" : "{…}");
    else if (Array.isArray(part)) {
      put("[");
      for (const [index, item] of part.entries()) {
        if (room <= 0) break;
        if (index > 0) put(",");
        show(item, depth + 1);
      }
      put("]");
    } else {
      put("{");
      let isFirst = true;
      for (const name in part) {
        if (room <= 0) break;
        if (!Object.hasOwn(part, name)) continue;
        put(`${isFirst ? "" : ","}${JSON.stringify(name.slice(0, room))}:`);
        show((part as Readonly<Record<string, unknown>>)[name], depth + 1);
        isFirst = false;
      }
      put("}");
    }
  };
  show(value, 0);
  const text = parts.join("");
  return text.length > longest ? `${text.slice(0, longest - 3)}...` : text;
}

function plainWord(value: unknown): string {
  switch (typeof value) {
    case "bigint":
    case "number":
    case "boolean":
      return `${value}`;
    case "undefined":
      return "null";
    default:
      return value === null ? "null" : typeof value;
  }
}

/** What of a line is kept at its beginning, which says where, and at its end, which says what to do. */
const LINE_START = 700;
const LINE_END = 300;

/** Most problems that are told together. */
export const LISTED_PROBLEMS = 20;

/** A message whose lines can be read, whatever names and values stand in them. */
export function readableLines(message: string): string {
  if (message.length <= LINE_START + LINE_END) return message;
  return message.split("\n").map(readableLine).join("\n");
}

function readableLine(line: string): string {
  if (line.length <= LINE_START + LINE_END) return line;
  return `${line.slice(0, LINE_START)} … ${line.slice(-LINE_END)}`;
}
