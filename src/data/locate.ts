/**
 * Where the contents of assistant turns stand in a rendered conversation, and which part of each was put there: many
 * templates trim, some cut the reasoning off. Searching for the content alone could find it inside what the template
 * itself writes ("think" in `<think>`), so where there is doubt the conversation is rendered once more with markers
 * for contents: what stands around the markers is the template's own.
 */
import type { Turn } from "./conversation.ts";
import { stripPython } from "./jinja.ts";

/** One response in the rendered text, UTF-16 offsets; `contentStart` is where the part begins in the content. */
export interface Placed {
  readonly start: number;
  readonly end: number;
  readonly contentStart: number;
}

/** Private-use characters enclose the turn's number: no template treats them in any special way. */
const OPEN = "\uE000";
const CLOSE = "\uE001";

const REASONING_END = "</think>";

/** The parts of a content that templates put into the text, most complete first. */
function partsOf(content: string): { readonly text: string; readonly start: number }[] {
  const parts = [{ text: content, start: 0 }];
  const add = (text: string, start: number): void => {
    if (!parts.some((part) => part.text === text && part.start === start)) parts.push({ text, start });
  };
  const addTrimmed = (text: string, start: number): void => {
    const left = stripPython(text, undefined, true, false);
    add(stripPython(left, undefined, false, true), start + text.length - left.length);
    add(left, start + text.length - left.length);
    add(stripPython(text, undefined, false, true), start);
  };
  addTrimmed(content, 0);
  const reasoning = content.lastIndexOf(REASONING_END);
  if (reasoning >= 0) {
    const start = reasoning + REASONING_END.length;
    const answer = content.slice(start);
    const lines = stripPython(answer, "\n", true, false);
    add(answer, start);
    add(lines, start + answer.length - lines.length);
    addTrimmed(lines, start + answer.length - lines.length);
  }
  return parts;
}

/**
 * The plain case: every content stands whole, and directly after its prompt. Null where one does not, or where
 * it begins or ends with white space, which the template could have put in its place.
 */
export function placeAfterPrompts(
  text: string,
  contents: readonly string[],
  prompts: readonly number[],
): Placed[] | null {
  const placed: Placed[] = [];
  for (const [index, content] of contents.entries()) {
    const start = prompts[index]!;
    if (start < 0 || content === "" || stripPython(content) !== content || !text.startsWith(content, start))
      return null;
    placed.push({ start, end: start + content.length, contentStart: 0 });
  }
  return placed;
}

/** The turns with markers for the contents of the assistant's; null where a text has the marker's own characters. */
export function withMarkers(turns: readonly Turn[]): Turn[] | null {
  if (turns.some((turn) => turn.content.includes(OPEN) || turn.content.includes(CLOSE))) return null;
  return turns.map((turn, index) => (turn.role === "assistant" ? { role: turn.role, content: marker(index) } : turn));
}

/** Reads the places off the rendering with markers. Null where the two renderings differ in more than the contents. */
export function placeByMarkers(text: string, marked: string, turns: readonly Turn[]): Placed[] | null {
  const placed: Placed[] = [];
  let textPosition = 0;
  let markedPosition = 0;
  const responses = turns.flatMap((turn, index) => (turn.role === "assistant" ? [{ turn, index }] : []));
  for (const [order, { turn, index }] of responses.entries()) {
    const at = marked.indexOf(marker(index), markedPosition);
    if (at < 0) return null;
    const before = marked.slice(markedPosition, at);
    if (!text.startsWith(before, textPosition)) return null;
    const start = textPosition + before.length;
    markedPosition = at + marker(index).length;
    const next = responses[order + 1];
    const after = marked.slice(markedPosition, next === undefined ? undefined : marked.indexOf(marker(next.index)));
    const part = partsOf(turn.content).find(
      (candidate) =>
        text.startsWith(candidate.text, start) &&
        (next === undefined
          ? text.slice(start + candidate.text.length) === after
          : text.startsWith(after, start + candidate.text.length)),
    );
    if (part === undefined) return null;
    textPosition = start + part.text.length;
    placed.push({ start, end: textPosition, contentStart: part.start });
  }
  return placed;
}

/** The last resort: the first place after its prompt, and after the response before, where a content is found. */
export function placeBySearch(
  text: string,
  contents: readonly string[],
  prompts: readonly number[],
): (Placed | null)[] {
  let from = 0;
  return contents.map((content, index) => {
    from = Math.max(from, prompts[index]!);
    const next = prompts.slice(index + 1).find((prompt) => prompt >= 0) ?? text.length;
    for (const part of partsOf(content)) {
      const start = text.indexOf(part.text, from);
      if (start < 0 || start + part.text.length > next) continue;
      from = start + part.text.length;
      return { start, end: from, contentStart: part.start };
    }
    return null;
  });
}

function marker(turn: number): string {
  return `${OPEN}${turn}${CLOSE}`;
}
