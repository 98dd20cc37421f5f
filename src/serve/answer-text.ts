/**
 * The text of an answer as its tokens come. Part of a character waits for the rest, and what may be the beginning of a stop
 * string waits until it is one, or none. At a stop string the text ends; it is not part of it.
 */
import type { TokenTable } from "../tokenizer/tokenizer.ts";

export interface AnswerText {
  /** What can be said of the text with one more token. */
  push(id: number): string;
  /** What had waited. */
  end(): string;
  /** Whether a stop string has come. */
  isStopped(): boolean;
}

export function openAnswerText(tokenizer: Pick<TokenTable, "tokenBytes">, stops: readonly string[]): AnswerText {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let held = "";
  let stopped = false;
  const add = (text: string): string => {
    if (stopped) return "";
    held += text;
    const first = Math.min(...stops.map((stop) => held.indexOf(stop)).filter((at) => at >= 0), Infinity);
    stopped = first < Infinity;
    const free = stopped ? first : held.length - waitingLength(held, stops);
    const said = held.slice(0, free);
    held = stopped ? "" : held.slice(free);
    return said;
  };
  return {
    push: (id) => {
      const bytes = tokenizer.tokenBytes(id);
      return bytes === null ? "" : add(decoder.decode(bytes, { stream: true }));
    },
    end: () => {
      const said = add(decoder.decode());
      const rest = held;
      held = "";
      return said + rest;
    },
    isStopped: () => stopped,
  };
}

/** Length of the longest end of a text that a stop string begins with. */
function waitingLength(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
