/**
 * The original of an assistant turn: the text of a response before any template, the one thing that all models have in
 * common. Byte spans of rows count in it. Reasoning that a record keeps beside the content stands before it, between
 * the tags that published models write. The original is a row of atoms, reasoning tags and what stands between them
 * without the white space around it, because that is what templates keep, move or drop.
 */

import { stripPython } from "../jinja/spaces.ts";
import type { Turn } from "./conversation.ts";

const REASONING_OPEN = "<think>\n";
const REASONING_CLOSE = "\n</think>\n\n";

/** The marks of reasoning in published templates. */
const TAGS = /<\/?(?:think|thinking|reasoning|seed:think)>|\[\/?THINK\]|<\|(?:START|END)_THINKING\|>/g;

/** A stretch of the original, UTF-16 offsets. */
export interface Atom {
  readonly kind: "tag" | "core";
  readonly start: number;
  readonly end: number;
}

/** A part of the original that goes to the template as one value. */
export interface Field {
  readonly key: "content" | "reasoning";
  readonly start: number;
  readonly end: number;
}

export interface Original {
  readonly text: string;
  readonly fields: readonly Field[];
  readonly atoms: readonly Atom[];
}

export function originalOf(turn: Turn): Original {
  const text = withReasoningInside(turn).content;
  const { reasoning } = turn;
  if (reasoning === undefined) {
    return { text, fields: [{ key: "content", start: 0, end: text.length }], atoms: atomsOf(text) };
  }
  const reasoningEnd = REASONING_OPEN.length + reasoning.length;
  const fields: Field[] = [
    { key: "reasoning", start: REASONING_OPEN.length, end: reasoningEnd },
    { key: "content", start: reasoningEnd + REASONING_CLOSE.length, end: text.length },
  ];
  return { text, fields, atoms: atomsOf(text) };
}

/** The turn as a template without a place for reasoning gets it. */
export function withReasoningInside(turn: Turn): Turn {
  if (turn.reasoning === undefined) return turn;
  const { reasoning, content, ...rest } = turn;
  return { ...rest, content: `${REASONING_OPEN}${reasoning}${REASONING_CLOSE}${content}` };
}

function atomsOf(text: string): Atom[] {
  const atoms: Atom[] = [];
  let from = 0;
  const addCore = (to: number): void => {
    const between = text.slice(from, to);
    const core = stripPython(between);
    if (core === "") return;
    const start = from + between.length - stripPython(between, undefined, true, false).length;
    atoms.push({ kind: "core", start, end: start + core.length });
  };
  for (const match of text.matchAll(TAGS)) {
    addCore(match.index);
    from = match.index + match[0].length;
    atoms.push({ kind: "tag", start: match.index, end: from });
  }
  addCore(text.length);
  return atoms;
}
