/**
 * Marks around the words of assistant turns. A conversation is rendered once more with a character of its own before
 * and after each core of a response; where the marks come out is where the template has put these words, whatever it
 * has written, moved or dropped around them. White space at the ends of a value is left away in that rendering, so that
 * what still stands there is the template's own.
 */

import { stripPython } from "../jinja/spaces.ts";
import type { Turn } from "./conversation.ts";
import type { Original } from "./original.ts";

/** The atom of the marks of an empty response, which have nothing between them. */
export const ALONE = -1;

/** The core of one response and its two marks. */
export interface Mark {
  /** Order of the response in the conversation. */
  readonly response: number;
  /** Index of the core in its atoms, or `ALONE`. */
  readonly atom: number;
  readonly open: string;
  readonly close: string;
  /** White space of the value before and after the core that the marked rendering was not given. */
  readonly before: string;
  readonly after: string;
}

export interface Marked {
  readonly turns: readonly Turn[];
  /** In the order of the text. */
  readonly marks: readonly Mark[];
}

/** A response of a conversation: the index of its turn, and its original. */
export interface Responding {
  readonly turn: number;
  readonly original: Original;
}

/** Characters for private use, which no template treats in any special way. */
const FIRST_PRIVATE = 0xe000;
const LAST_PRIVATE = 0xf8ff;
const PRIVATE = /[\uE000-\uF8FF]/g;

/** The turns with marks in their responses; null where the text leaves too few characters for them. */
export function markTurns(text: string, turns: readonly Turn[], responses: readonly Responding[]): Marked | null {
  const free = freeCharacters(text, turns);
  const marks: Mark[] = [];
  const marked = [...turns];
  for (const [response, { turn, original }] of responses.entries()) {
    const values = { reasoning: turns[turn]!.reasoning, content: turns[turn]!.content };
    let isMarked = false;
    for (const field of original.fields) {
      const inside = original.atoms.flatMap((atom, index) =>
        atom.start >= field.start && atom.end <= field.end ? [index] : [],
      );
      let value = "";
      let from = field.start;
      let until = field.end;
      for (const index of inside) {
        const atom = original.atoms[index]!;
        if (atom.kind === "tag") continue;
        const [open, close] = [free.next().value, free.next().value];
        if (open === undefined || close === undefined) return null;
        const before = index === inside[0] ? original.text.slice(field.start, atom.start) : "";
        const after = index === inside.at(-1) ? original.text.slice(atom.end, field.end) : "";
        marks.push({ response, atom: index, open, close, before, after });
        value += original.text.slice(from + before.length, atom.start);
        value += open + original.text.slice(atom.start, atom.end) + close;
        from = atom.end;
        until = field.end - after.length;
        isMarked = true;
      }
      value += original.text.slice(from, until);
      values[field.key] = value;
    }
    if (!isMarked && stripPython(original.text) === "") {
      const [open, close] = [free.next().value, free.next().value];
      if (open === undefined || close === undefined) return null;
      marks.push({ response, atom: ALONE, open, close, before: "", after: original.text });
      values.content = open + close;
    }
    const { reasoning, content } = values;
    marked[turn] = { ...turns[turn]!, content, ...(reasoning === undefined ? {} : { reasoning }) };
  }
  return { turns: marked, marks };
}

/** The private characters that neither the text nor any turn has, in their order. */
function* freeCharacters(text: string, turns: readonly Turn[]): Generator<string, undefined, undefined> {
  const taken = new Set<string>();
  for (const one of [text, ...turns.flatMap(({ content, reasoning }) => [content, reasoning ?? ""])]) {
    for (const [character] of one.matchAll(PRIVATE)) taken.add(character);
  }
  for (let code = FIRST_PRIVATE; code <= LAST_PRIVATE; code++) {
    const character = String.fromCharCode(code);
    if (!taken.has(character)) yield character;
  }
  return undefined;
}
