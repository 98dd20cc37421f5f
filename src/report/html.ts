/**
 * HTML and SVG from template strings in which whatever is interpolated is text: names of models, tokens and
 * conversations come from outside, and none of them can become markup.
 */

/** Markup that has been made by `html`, and nothing else. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Value = Markup | string | number | undefined | null | false | readonly Value[];

/** Strings and numbers are escaped, markup and lists of it go in as they are; undefined, null and false are left out. */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Markup {
  let text = strings[0]!;
  for (const [index, value] of values.entries()) text += render(value) + strings[index + 1]!;
  return new Markup(text);
}

function render(value: Value): string {
  if (value === undefined || value === null || value === false) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "string") return escapeText(value);
  if (typeof value === "number") return String(value);
  return value.map(render).join("");
}

/** Safe in text and in quoted attributes. Characters that steer a page, or the direction of its text, show as pictures. */
function escapeText(text: string): string {
  return text
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;")
    .replace(/'/g, "&#39;")
    .replace(/[\p{Cc}\p{Cf}]/gu, showInvisible);
}

/** Joiners, which emoji and some scripts are made of. */
const JOINERS = "\u200c\u200d";

function showInvisible(character: string): string {
  if (character === "\n" || character === "\t" || JOINERS.includes(character)) return character;
  const code = character.charCodeAt(0);
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : "\ufffd";
}
