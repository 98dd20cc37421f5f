/** One JSON value from its bytes, or what is wrong with it. */
import { withoutStacks } from "../../errors.ts";
import { parseJsonDocument, plainJson } from "../../formats/json-document.ts";
import type { Found } from "./container.ts";
import { TOO_LONG } from "./lines.ts";

const FOUND_LENGTH = 40;

/**
 * The platform takes some 5 microseconds to refuse a text, however short: half a million of them in a megabyte would be
 * seconds. Of longer ones there are few.
 */
const SHORT_CHARACTERS = 50;

/** A record from the bytes at `place`; null bytes stand for more than may be held. */
export function foundJson(place: string, bytes: Uint8Array | null): Found {
  return bytes === null ? { place, problem: TOO_LONG } : withoutStacks(() => parsed(place, bytes));
}

function parsed(place: string, bytes: Uint8Array): Found {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const sentence = "expected UTF-8 text, found other bytes";
    return { place, problem: { reason: "that are not UTF-8 text", sentence } };
  }
  if (text.length > SHORT_CHARACTERS) {
    try {
      return { place, record: JSON.parse(text) };
    } catch {
      // Python writes NaN and Infinity, which are no JSON, into scores.
    }
  }
  const document = parseJsonDocument(text);
  if ("value" in document) return { place, record: plainJson(document.value) };
  return { place, problem: { reason: "that are not JSON", sentence: notJson(text, document.errorAt) } };
}

function notJson(text: string, position: number): string {
  if (position >= text.length) {
    return `expected a JSON object, found ${JSON.stringify(shortened(text))}, which ends too early`;
  }
  const found = JSON.stringify(shortened(text.slice(position)));
  return `expected a JSON object, found ${found} at character ${position + 1}, which is not JSON`;
}

function shortened(text: string): string {
  return text.length > FOUND_LENGTH ? `${text.slice(0, FOUND_LENGTH)}…` : text;
}
