/**
 * Where responses stand in a rendered conversation, read off a second rendering with marks (marks.ts): between the
 * marks stand the words of a response, and around them both renderings must be the same to the letter, but for white
 * space that the template may have trimmed. What comes out is a list of pieces, stretches that stand in the text as they
 * stand in the original; what lies between two pieces the template has put there, left out, or both.
 */
import { stripPython } from "../jinja/spaces.ts";
import { ALONE, type Mark } from "./marks.ts";
import type { Atom, Original } from "./original.ts";

/** A stretch of the text that is the original's to the letter; UTF-16 offsets. */
export interface Piece {
  readonly text: number;
  readonly original: number;
  readonly length: number;
}

/** One response in the rendered text. */
export interface Placed {
  /** Where its prompt ends: with the prompt's own rendering, where that is a beginning of the text, else where it begins. */
  readonly promptEnd: number;
  /** In the text, UTF-16 offsets: from its first to its last piece, with a reasoning tag that the template put before it. */
  readonly start: number;
  readonly end: number;
  /** In order, in the text and in the original. */
  readonly pieces: readonly Piece[];
}

/** Where the core of a mark stands, and how much of the value's own white space stands before and after it. */
interface CorePlace {
  readonly start: number;
  readonly end: number;
  readonly before: number;
  readonly after: number;
}

/** What lies around a response: the end of the response before, of its own prompt (-1: not known), and what follows. */
interface Surroundings {
  readonly from: number;
  readonly promptEnd: number;
  readonly until: number;
}

/**
 * Places all responses of a conversation, `prompts` with the ends of their prompts where these are a beginning of the
 * text. Null for the whole where the renderings differ in more than white space; null for a response none of whose words
 * are there.
 */
export function placeByMarks(
  text: string,
  marked: string,
  marks: readonly Mark[],
  originals: readonly Original[],
  prompts: readonly number[],
): (Placed | null)[] | null {
  const cores = readMarks(text, marked, marks);
  if (cores === null) return null;
  const byResponse = originals.map(() => new Map<number, CorePlace>());
  for (const [mark, place] of cores) byResponse[mark.response]!.set(mark.atom, place);
  const first = byResponse.map((places) => Math.min(...Array.from(places.values(), ({ start }) => start)));
  let from = 0;
  return originals.map((original, index) => {
    const promptEnd = prompts[index]! <= first[index]! ? prompts[index]! : -1;
    const until = Math.min(text.length, ...first.slice(index + 1, index + 2));
    const placed = placeOne(text, original, byResponse[index]!, { from, promptEnd, until });
    from = placed?.end ?? from;
    return placed;
  });
}

/**
 * Without marks: a response stands whole directly after its prompt, and nowhere else before the next one. Null where
 * that is not so.
 */
export function placeAfterPrompt(
  text: string,
  { text: original }: Original,
  start: number,
  until: number,
): Placed | null {
  if (start < 0 || !text.startsWith(original, start)) return null;
  const end = start + original.length;
  if (original === "") return { promptEnd: start, start, end, pieces: [] };
  const again = text.indexOf(original, start + 1);
  if (end > until || (again >= 0 && again < until)) return null;
  return { promptEnd: start, start, end, pieces: [{ text: start, original: 0, length: original.length }] };
}

/** Goes through both renderings at once. Null where they differ, or where marks are doubled, torn or out of order. */
function readMarks(text: string, marked: string, marks: readonly Mark[]): Map<Mark, CorePlace> | null {
  const orderOf = new Map<string, number>();
  for (const [order, { open, close }] of marks.entries()) orderOf.set(open, order).set(close, order);
  const places = new Map<Mark, CorePlace>();
  let last = -1;
  let opened: { readonly mark: Mark; readonly start: number; readonly before: number } | null = null;
  let after = "";
  let at = 0;
  let chunkStart = 0;
  for (const match of marked.matchAll(/[\uE000-\uF8FF]/g)) {
    const order = orderOf.get(match[0]);
    if (order === undefined) continue;
    const mark = marks[order]!;
    const chunk = marked.slice(chunkStart, match.index);
    chunkStart = match.index + 1;
    if (match[0] === mark.open) {
      if (opened !== null || order <= last) return null;
      const space = spaceLeft(text, at, after, chunk, false);
      if (space === null) return null;
      closeWith(places, marks[last], space);
      at += space + chunk.length;
      const before = spacesAt(text, at, mark.before.length);
      if (!mark.before.endsWith(text.slice(at, at + before))) return null;
      opened = { mark, start: at + before, before };
      at += before;
      last = order;
    } else {
      if (opened?.mark !== mark || !text.startsWith(chunk, at)) return null;
      places.set(mark, { start: opened.start, end: at + chunk.length, before: opened.before, after: 0 });
      at += chunk.length;
      after = mark.after;
      opened = null;
    }
  }
  const rest = marked.slice(chunkStart);
  const space = spaceLeft(text, at, after, rest, true);
  if (opened !== null || space === null || at + space + rest.length !== text.length) return null;
  closeWith(places, marks[last], space);
  return places;
}

function closeWith(places: Map<Mark, CorePlace>, mark: Mark | undefined, after: number): void {
  const place = mark === undefined ? undefined : places.get(mark);
  if (mark !== undefined && place !== undefined) places.set(mark, { ...place, after });
}

/**
 * How much of the white space `after` a core stands in the text at `at`, before the template's own `chunk`. The white
 * space in the text is that and what the chunk begins with. Null where the chunk does not follow.
 */
function spaceLeft(text: string, at: number, after: string, chunk: string, isLast: boolean): number | null {
  let length = 0;
  if (after !== "") {
    const own = spacesAt(chunk, 0, chunk.length);
    const there = spacesAt(text, at, own + after.length);
    length = own === chunk.length && isLast ? text.length - at - own : Math.min(after.length, there - own);
  }
  if (length < 0 || !after.startsWith(text.slice(at, at + length)) || !text.startsWith(chunk, at + length)) return null;
  return length;
}

/** White space at a place of a text, at most `longest` characters of it. */
function spacesAt(text: string, at: number, longest: number): number {
  const part = text.slice(at, at + longest);
  return part.length - stripPython(part, undefined, true, false).length;
}

/** An atom of the original that stands in the text. */
interface Anchor {
  readonly atom: Atom;
  readonly text: number;
}

function placeOne(
  text: string,
  original: Original,
  places: ReadonlyMap<number, CorePlace>,
  around: Surroundings,
): Placed | null {
  const { promptEnd } = around;
  const alone = places.get(ALONE);
  if (alone !== undefined) {
    const { start, after } = alone;
    const pieces = after === 0 ? [] : [{ text: start, original: 0, length: after }];
    return { promptEnd: promptEnd < 0 ? start : promptEnd, start, end: start + after, pieces };
  }
  if (places.size === 0) return null;
  for (const [atom, { start, end }] of places) {
    const { start: from, end: to } = original.atoms[atom]!;
    if (text.slice(start, end) !== original.text.slice(from, to)) return null;
  }
  const anchors = anchorsOf(text, original, places, around);
  const pieces = piecesOf(text, original.text, anchors, places, around);
  const end = pieces.at(-1)!.text + pieces.at(-1)!.length;
  const start = startOf(text, original, anchors[0]!, pieces[0]!.text, around);
  return { promptEnd: promptEnd < 0 ? start : promptEnd, start, end, pieces };
}

/** The atoms that stand in the text: the cores that were found, and the tags between them. */
function anchorsOf(
  text: string,
  original: Original,
  places: ReadonlyMap<number, CorePlace>,
  { from, until }: Surroundings,
): Anchor[] {
  const { atoms } = original;
  const spelling = (atom: Atom): string => original.text.slice(atom.start, atom.end);
  // Reasoning that is not there takes its tags away: an empty block in its place is the template's own.
  const goes = (index: number): boolean => {
    const inside = /^(?:<\/|\[\/|<\|END)/.test(spelling(atoms[index]!)) ? index - 1 : index + 1;
    return atoms[inside]?.kind === "core" && !places.has(inside);
  };
  const first = atoms.findIndex((_, index) => places.has(index));
  const anchors: Anchor[] = [{ atom: atoms[first]!, text: places.get(first)!.start }];
  for (let index = first - 1; index >= 0; index--) {
    if (atoms[index]!.kind === "core" || goes(index)) continue;
    const tag = spelling(atoms[index]!);
    const before = stripPython(text.slice(from, anchors[0]!.text), undefined, false, true);
    if (!before.endsWith(tag)) break;
    anchors.unshift({ atom: atoms[index]!, text: from + before.length - tag.length });
  }
  let at = places.get(first)!.end;
  for (let index = first + 1; index < atoms.length; index++) {
    const atom = atoms[index]!;
    const place = places.get(index);
    if (place !== undefined) {
      anchors.push({ atom, text: place.start });
      at = place.end;
    } else if (atom.kind === "tag" && !goes(index)) {
      const tag = spelling(atom);
      const start = at + spacesAt(text, at, until - at);
      if (!text.startsWith(tag, start)) continue;
      anchors.push({ atom, text: start });
      at = start + tag.length;
    }
  }
  return anchors;
}

/** The anchors, and the white space of the original that stands around them. */
function piecesOf(
  text: string,
  original: string,
  anchors: readonly Anchor[],
  places: ReadonlyMap<number, CorePlace>,
  { promptEnd, until }: Surroundings,
): Piece[] {
  const pieces: { text: number; original: number; length: number }[] = [];
  const add = (textStart: number, originalStart: number, length: number): void => {
    if (length <= 0) return;
    const last = pieces.at(-1);
    const goesOn = last?.text === textStart - (last?.length ?? 0) && last?.original === originalStart - last.length;
    if (goesOn) last.length += length;
    else pieces.push({ text: textStart, original: originalStart, length });
  };
  const cores = [...places.values()];
  const [{ atom: first, text: firstText }] = anchors as [Anchor];
  if (first.kind === "core") {
    const { before } = cores[0]!;
    add(firstText - before, first.start - before, before);
  } else if (promptEnd >= 0 && text.slice(promptEnd, firstText) === original.slice(0, first.start)) {
    add(promptEnd, 0, first.start);
  }
  for (const [index, { atom, text: start }] of anchors.entries()) {
    const length = atom.end - atom.start;
    add(start, atom.start, length);
    const next = anchors[index + 1];
    if (next === undefined) break;
    const here = text.slice(start + length, next.text);
    const there = original.slice(atom.end, next.atom.start);
    // Words that were left out in between take their white space with them.
    if (stripPython(here) !== "" || stripPython(there) !== "") continue;
    const prefix = commonPrefix(here, there);
    add(start + length, atom.end, prefix);
    const suffix = commonSuffix(here.slice(prefix), there.slice(prefix));
    add(next.text - suffix, next.atom.start - suffix, suffix);
  }
  const { atom: last, text: lastText } = anchors.at(-1)!;
  const lastEnd = lastText + last.end - last.start;
  if (last.kind === "core") add(lastEnd, last.end, cores.at(-1)!.after);
  else add(lastEnd, last.end, commonPrefix(text.slice(lastEnd, until), leadingSpace(original, last.end)));
  return pieces;
}

/** A response whose original begins within its reasoning also has the tag that the template puts before that. */
function startOf(text: string, { atoms }: Original, first: Anchor, start: number, { promptEnd }: Surroundings): number {
  const begins = first.atom === atoms[0] && first.atom.kind === "core" && atoms[1]?.kind === "tag";
  if (!begins || promptEnd < 0) return start;
  const before = text.slice(promptEnd, start);
  return stripPython(before) === "<think>" ? promptEnd + before.indexOf("<") : start;
}

function leadingSpace(text: string, at: number): string {
  return text.slice(at, at + spacesAt(text, at, text.length));
}

function commonPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function commonSuffix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[a.length - 1 - length] === b[b.length - 1 - length]) length++;
  return length;
}
