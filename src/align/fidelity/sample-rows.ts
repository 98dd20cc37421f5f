/**
 * The distributions that a byte model induces for a tokenizer, found by sampling: after the tokens t1 .. tk of a text
 *
 *   P(t) = Pr[token k+1 of the encoding of text + continuation is t | its first k tokens are t1 .. tk].
 *
 * The condition is part of the definition: a model that has read `hel` and not `hello` knows that `lo` does not follow.
 * So continuations are drawn from the byte model and encoded by the real tokenizer, and those that change t1 .. tk are
 * rejected. All tokenizers read the same continuations, so what two of them make of one text is known together.
 */
import { internalError } from "../../errors.ts";
import type { Random } from "../../random.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { type ByteModel, END_OF_TEXT, ORDER } from "./byte-model.ts";

/** Bytes of a continuation: more than the tokens have that are asked for, so that its end does not change them. */
export const CONTINUATION_BYTES = 24;
/** In place of a token: the continuation was rejected. */
export const REJECTED = -1;

/** A place in a text. */
export interface Place {
  /** What the byte model has read, at least its order of bytes where the text has them. */
  readonly context: Uint8Array;
  /** The end of that which is encoded, from a space between words on. */
  readonly prompt: Uint8Array;
  /** What really follows. */
  readonly after: Uint8Array;
}

/** A tokenizer, and the token that it writes where a text ends. */
export interface Reader {
  readonly tokenizer: Tokenizer;
  readonly endOfTurn: number;
}

/** How the text around a place is written: t1 .. tk, then the tokens that really follow and where each ends. */
export interface Written {
  readonly before: Int32Array;
  readonly labels: Int32Array;
  /** [labels] bytes from the place on. */
  readonly labelEnd: Int32Array;
}

/** How a tokenizer writes the text around a place, or null where no token starts there. */
export async function writtenAt(tokenizer: Tokenizer, { prompt, after }: Place): Promise<Written | null> {
  const { ids, byteStart, byteEnd } = await tokenizer.encode(Buffer.concat([prompt, after]).toString("utf8"));
  const k = byteStart.findIndex((start, i) => start >= prompt.length && byteEnd[i]! > start);
  if (k < 0 || byteStart[k] !== prompt.length) return null;
  return {
    before: ids.slice(0, k),
    labels: ids.slice(k),
    labelEnd: byteEnd.slice(k).map((end) => end - prompt.length),
  };
}

/** The same text, `bytes` later. */
export function advance({ context, prompt, after }: Place, bytes: number): Place {
  const read = after.subarray(0, bytes);
  return {
    context: Buffer.concat([context, read]),
    prompt: Buffer.concat([prompt, read]),
    after: after.subarray(bytes),
  };
}

/** A prompt and what the byte model goes on with, and whether it ended the text before the last byte. */
export interface Continuation {
  readonly text: string;
  readonly ended: boolean;
}

/** Draws `samples` continuations that are UTF-8; the last character is left out where its bytes were not all drawn. */
export function drawContinuations(
  model: ByteModel,
  { context, prompt }: Place,
  samples: number,
  random: Random,
): Continuation[] {
  const history = context.subarray(-ORDER);
  const bytes = new Uint8Array(history.length + CONTINUATION_BYTES);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const drawn: Continuation[] = [];
  for (let tries = 0; drawn.length < samples; tries++) {
    if (tries > 2 * samples + 100) throw internalError("half of the byte model's continuations are not UTF-8");
    bytes.set(history);
    let length = history.length;
    while (length < bytes.length) {
      const byte = model.sample(bytes, length, random);
      if (byte === END_OF_TEXT) break;
      bytes[length++] = byte;
    }
    const ended = length < bytes.length;
    const all = Buffer.concat([prompt, bytes.subarray(history.length, length)]);
    try {
      drawn.push({ text: decoder.decode(ended ? all : wholeCharacters(all)), ended });
    } catch {
      // Not UTF-8: one in a hundred thousand.
    }
  }
  return drawn;
}

/** [samples] token k+1 of each continuation, or `REJECTED`. */
export async function nextTokens(
  { tokenizer, endOfTurn }: Reader,
  before: Int32Array,
  continuations: readonly Continuation[],
): Promise<Int32Array> {
  // Sharp places draw the same text many times.
  const texts = [...new Set(continuations.map(({ text }) => text))];
  const encodings = await tokenizer.encodeBatch(texts);
  const next = new Map<string, number | null>();
  texts.forEach((text, i) => {
    const { ids } = encodings[i]!;
    const kept = before.every((id, k) => ids[k] === id);
    next.set(text, kept ? (ids[before.length] ?? null) : REJECTED);
  });
  return Int32Array.from(continuations, ({ text, ended }) => {
    const token = next.get(text)!;
    return token ?? (ended ? endOfTurn : REJECTED);
  });
}

/** Bytes without a last character that is cut short. */
function wholeCharacters(bytes: Uint8Array): Uint8Array {
  for (let back = 1; back <= 3; back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) break;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 0;
    if (length > 0) return length > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}
