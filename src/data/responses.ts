/**
 * The responses of rendered conversations: where the prompt of each ends, which stretches of the text are its own, and
 * what of its original the template has left out. Everything after this counts in UTF-8 bytes.
 */
import { createHash } from "node:crypto";
import { stripPython } from "../jinja/spaces.ts";
import { isTrained, type Turn } from "./conversation.ts";
import { type Placed, placeAfterPrompt, placeByMarks } from "./locate.ts";
import { type Marked, markTurns, type Responding } from "./marks.ts";
import { type Original, originalOf } from "./original.ts";
import type { RenderJob, TemplateRenderer } from "./template.ts";

/** A stretch of a response that stands in the text as in the original, bytes. */
export interface BytePiece {
  readonly text: number;
  readonly original: number;
  readonly length: number;
}

/** One response in the rendered text; all offsets are UTF-8 bytes. */
export interface Response {
  /** Index of the turn in the conversation. */
  readonly turn: number;
  /** In the text: where its prompt ends, and how much white space the prompt ends in. */
  readonly promptEnd: number;
  readonly promptSpace: number;
  /** In the text: where the response begins and ends. */
  readonly start: number;
  readonly end: number;
  readonly pieces: readonly BytePiece[];
  /** Length of the original. */
  readonly originalBytes: number;
  /** [pieces + 1] what of the original is left out before each piece, and in all: 0, or a hash of it. */
  readonly leftOut: readonly bigint[];
}

/** A conversation as one template writes it. */
export interface RenderedConversation {
  readonly turns: readonly Turn[];
  readonly tools?: readonly unknown[];
  readonly text: string;
}

/** The responses of each conversation, or why they are not known. */
export async function findResponses(
  conversations: readonly RenderedConversation[],
  renderer: TemplateRenderer,
): Promise<(readonly Response[] | { readonly refused: string })[]> {
  const responding = conversations.map(({ turns }) =>
    turns.flatMap((turn, index): Responding[] =>
      isTrained(turn) ? [{ turn: index, original: originalOf(turn) }] : [],
    ),
  );
  const prompts = await findPrompts(conversations, responding, renderer);
  const marked = conversations.map(({ text, turns }, index) => markTurns(text, turns, responding[index]!));
  const markings = await renderMarked(conversations, marked, renderer);
  return conversations.map((conversation, index) => {
    const { text } = conversation;
    const own = responding[index]!;
    const originals = own.map(({ original }) => original);
    const ends = prompts[index]!;
    const marking = markings[index];
    const byMarks = marking === undefined ? null : placeByMarks(text, marking, marked[index]!.marks, originals, ends);
    const placed = originals.map((original, order) => {
      const until = ends.slice(order + 1).find((end) => end >= 0) ?? text.length;
      return byMarks?.[order] ?? placeAfterPrompt(text, original, ends[order]!, until);
    });
    const missing = placed.indexOf(null);
    if (missing >= 0) {
      const { turn } = own[missing]!;
      return {
        refused: `${renderer.path}: the rendering does not have the content of turn ${turn}, or not for certain`,
      };
    }
    return inBytes(text, own, placed as readonly Placed[]);
  });
}

/** Where the prompt of each response ends in the text; -1 where its rendering is no beginning of the text. */
async function findPrompts(
  conversations: readonly RenderedConversation[],
  responding: readonly (readonly Responding[])[],
  renderer: TemplateRenderer,
): Promise<number[][]> {
  const jobs = conversations.flatMap(({ turns, tools }, index) =>
    responding[index]!.map(
      ({ turn }): RenderJob => ({
        turns: turns.slice(0, turn),
        ...(tools === undefined ? {} : { tools }),
        generationPrompt: true,
      }),
    ),
  );
  const rendered = (await renderer.render(jobs)).values();
  return conversations.map(({ text }, index) =>
    responding[index]!.map(() => {
      const prompt = rendered.next().value;
      return prompt !== undefined && "text" in prompt && text.startsWith(prompt.text) ? prompt.text.length : -1;
    }),
  );
}

/** The renderings with marks; none where there is no room for marks, or the template refuses them. */
async function renderMarked(
  conversations: readonly RenderedConversation[],
  marked: readonly (Marked | null)[],
  renderer: TemplateRenderer,
): Promise<(string | undefined)[]> {
  const jobs = marked.flatMap((one, index): RenderJob[] => {
    if (one === null) return [];
    const { tools } = conversations[index]!;
    return [{ turns: one.turns, ...(tools === undefined ? {} : { tools }), generationPrompt: false }];
  });
  const rendered = (await renderer.render(jobs)).values();
  return marked.map((one) => {
    const marking = one === null ? undefined : rendered.next().value;
    return marking !== undefined && "text" in marking ? marking.text : undefined;
  });
}

function inBytes(text: string, responding: readonly Responding[], placed: readonly Placed[]): Response[] {
  const toByte = byteCounter(text);
  return placed.map(({ promptEnd, start, end, pieces }, index) => {
    const { turn, original } = responding[index]!;
    const before = text.slice(0, promptEnd);
    const space = before.length - stripPython(before, undefined, false, true).length;
    const originalToByte = byteCounter(original.text);
    return {
      turn,
      promptEnd: toByte(promptEnd),
      promptSpace: Buffer.byteLength(before.slice(before.length - space)),
      start: toByte(start),
      end: toByte(end),
      pieces: pieces.map((piece) => ({
        text: toByte(piece.text),
        original: originalToByte(piece.original),
        length: Buffer.byteLength(text.slice(piece.text, piece.text + piece.length)),
      })),
      originalBytes: Buffer.byteLength(original.text),
      leftOut: leftOutOf(original, pieces),
    };
  });
}

/** UTF-8 bytes before a place of a text. Places should ascend: it counts on from the one before. */
function byteCounter(text: string): (place: number) => number {
  let at = 0;
  let bytes = 0;
  return (place) => {
    bytes += place >= at ? Buffer.byteLength(text.slice(at, place)) : -Buffer.byteLength(text.slice(place, at));
    at = place;
    return bytes;
  };
}

/** White space is no loss: templates trim it, and no two models read the same of it. */
function leftOutOf({ text }: Original, pieces: Placed["pieces"]): bigint[] {
  const hash = createHash("sha256");
  let isEmpty = true;
  let at = 0;
  return [...pieces, { original: text.length, length: 0 }].map(({ original, length }) => {
    const lost = text.slice(at, original);
    const core = stripPython(lost);
    if (core !== "") {
      hash.update(`${at + lost.indexOf(core)}:${core}\n`, "utf8");
      isEmpty = false;
    }
    at = original + length;
    return isEmpty ? 0n : hash.copy().digest().readBigInt64LE(0);
  });
}
