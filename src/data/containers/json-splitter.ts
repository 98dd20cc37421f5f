/**
 * Cuts a JSON text of any size into the values at a given depth, without holding more than one of them: 0 the values of
 * the text itself, 1 the items of an array, 2 the items of the arrays in an object. Above that depth the grammar is
 * checked here; each value below is JSON only if `JSON.parse` says so.
 */
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  NEWLINE,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from "../../formats/json-bytes.ts";

export interface SplitValue {
  /** The name of the outermost object's member that it is or stands in; null where there is no object. */
  readonly key: string | null;
  /** Its number in the array, object or text that it stands in directly. */
  readonly index: number;
  /** Whether it stands in an array directly. */
  readonly isItem: boolean;
  /** How many arrays and objects it stands in. */
  readonly depth: number;
  /** null where it is longer than may be held. */
  readonly bytes: Uint8Array | null;
}

/** What is wrong with the text itself, and where. */
export class JsonProblem extends Error {
  readonly line: number;
  readonly column: number;

  constructor(line: number, column: number, found: string) {
    super(`expected JSON, found ${found}`);
    this.line = line;
    this.column = column;
  }
}

interface Frame {
  readonly close: number;
  readonly isObject: boolean;
  expects: "value" | "value or close" | "name" | "name or close" | ":" | ", or close";
  /** The last name of an object. */
  name: string | null;
  count: number;
}

/** Objects of metadata have a few names; more than these bytes of one are no name. */
const LONGEST_NAME_BYTES = 1 << 10;

export class JsonSplitter {
  readonly #depth: number;
  readonly #longest: number;
  readonly #frames: Frame[] = [];
  #rootValues = 0;
  #line = 1;
  #lineStart = 0;
  /** Bytes of the chunks before this one. */
  #before = 0;
  /** The value in hand: what is open in it, and its bytes from earlier chunks. */
  #isInValue = false;
  #isWord = false;
  #isInString = false;
  #isEscaped = false;
  #open = 0;
  #held: Uint8Array[] = [];
  #heldLength = 0;

  constructor(depth: number, longestBytes: number) {
    this.#depth = depth;
    this.#longest = longestBytes;
  }

  /** Values of the text itself that have ended, so `2` where something follows the first. */
  get rootValues(): number {
    return this.#rootValues;
  }

  /** The values that end in this chunk. */
  split(chunk: Uint8Array): SplitValue[] {
    const values: SplitValue[] = [];
    let start = 0;
    for (let index = 0; index < chunk.length; index++) {
      if (this.#isInString) {
        index = this.#closingQuote(chunk, index);
        if (index < chunk.length) {
          this.#isInString = false;
          if (this.#open === 0) this.#end(chunk, start, index + 1, values);
        }
        continue;
      }
      const byte = chunk[index]!;
      if (byte === NEWLINE) {
        this.#line += 1;
        this.#lineStart = this.#before + index + 1;
      }
      if (this.#isInValue) {
        if (this.#isWord) {
          if (!isDelimiter(byte)) continue;
          this.#end(chunk, start, index, values);
        } else {
          if (byte === QUOTE) this.#isInString = true;
          else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) this.#open += 1;
          else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
            this.#open -= 1;
            if (this.#open === 0) this.#end(chunk, start, index + 1, values);
          }
          continue;
        }
      }
      if (isWhite(byte)) continue;
      if (this.#mark(byte, index)) continue;
      this.#isInValue = true;
      this.#isInString = byte === QUOTE;
      this.#open = byte === OPEN_ARRAY || byte === OPEN_OBJECT ? 1 : 0;
      this.#isWord = this.#open === 0 && !this.#isInString;
      start = index;
    }
    if (this.#isInValue) this.#hold(chunk.subarray(start));
    this.#before += chunk.length;
    return values;
  }

  /** The last value, where the text ends with a word; refuses a text that ends too early. */
  finish(): SplitValue[] {
    const values: SplitValue[] = [];
    if (this.#isInValue && this.#isWord) this.#end(new Uint8Array(), 0, 0, values);
    if (this.#isInValue || this.#frames.length > 0) throw this.#problem(0, "the end of the file");
    return values;
  }

  /** Where the string in hand ends; the chunk's length where it goes on. Nearly all bytes of a file pass through here. */
  #closingQuote(chunk: Uint8Array, from: number): number {
    let index = this.#isEscaped ? from + 1 : from;
    for (; index < chunk.length; index++) {
      const byte = chunk[index]!;
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) index += 1;
    }
    // A backslash at the very end speaks of the next chunk's first byte.
    this.#isEscaped = index > chunk.length;
    return Math.min(index, chunk.length);
  }

  /** Takes a mark of the outer levels; false where the byte begins a value to be handed out. */
  #mark(byte: number, index: number): boolean {
    const frame = this.#frames.at(-1);
    const expects = frame?.expects ?? "value";
    const isOpening = byte === OPEN_ARRAY || byte === OPEN_OBJECT;
    if (frame !== undefined && byte === frame.close && expects.endsWith("close")) {
      this.#frames.pop();
      this.#valueEnded();
      return true;
    }
    if (frame !== undefined && byte === COMMA && expects === ", or close") {
      frame.expects = frame.isObject ? "name" : "value";
      return true;
    }
    if (frame !== undefined && byte === COLON && expects === ":") {
      frame.expects = "value";
      return true;
    }
    const isMark = byte === COMMA || byte === COLON || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT;
    const wantsName = expects.startsWith("name");
    if (isMark || !(expects.startsWith("value") || wantsName) || (wantsName && byte !== QUOTE)) {
      throw this.#problem(index, JSON.stringify(String.fromCharCode(byte)));
    }
    if (!isOpening || this.#frames.length >= this.#depth) return false;
    const isObject = byte === OPEN_OBJECT;
    this.#frames.push({
      close: isObject ? CLOSE_OBJECT : CLOSE_ARRAY,
      isObject,
      expects: isObject ? "name or close" : "value or close",
      name: null,
      count: 0,
    });
    return true;
  }

  #end(chunk: Uint8Array, start: number, end: number, values: SplitValue[]): void {
    this.#hold(chunk.subarray(start, end));
    const bytes = this.#heldLength > this.#longest ? null : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldLength = 0;
    this.#isInValue = false;
    const frame = this.#frames.at(-1);
    if (frame?.expects.startsWith("name")) {
      frame.name = nameOf(bytes);
      frame.expects = ":";
      return;
    }
    const outer = this.#frames.find(({ isObject }) => isObject);
    values.push({
      key: outer?.name ?? null,
      index: frame?.count ?? this.#rootValues,
      isItem: frame !== undefined && !frame.isObject,
      depth: this.#frames.length,
      bytes,
    });
    this.#valueEnded();
  }

  #valueEnded(): void {
    const frame = this.#frames.at(-1);
    if (frame === undefined) {
      this.#rootValues += 1;
      return;
    }
    frame.count += 1;
    frame.expects = ", or close";
  }

  #hold(bytes: Uint8Array): void {
    this.#heldLength += bytes.length;
    if (this.#heldLength <= this.#longest) this.#held.push(bytes);
    else this.#held = [];
  }

  #problem(index: number, found: string): JsonProblem {
    return new JsonProblem(this.#line, this.#before + index - this.#lineStart + 1, found);
  }
}

function nameOf(bytes: Uint8Array | null): string {
  if (bytes === null || bytes.length > LONGEST_NAME_BYTES) return "a name too long to show";
  try {
    return String(JSON.parse(Buffer.from(bytes).toString("utf8")));
  } catch {
    return "a name that is not JSON";
  }
}

function isWhite(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === NEWLINE;
}

/** What ends a number, true, false or null. */
function isDelimiter(byte: number): boolean {
  return isWhite(byte) || byte === COMMA || byte === COLON || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT;
}
