/**
 * A walk through JSON as bytes. A reply of rows is megabytes of small objects, of which two numbers each are wanted:
 * they go from the bytes into arrays, and nothing else is made of the rest. What is skipped is only looked at for where
 * it ends; what is read must be as RFC 8259 has it, but for NaN and Infinity, which Python writes and callers refuse.
 */
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from "../../formats/json-bytes.ts";

const [POINT, MINUS, PLUS] = [0x2e, 0x2d, 0x2b];
const [ZERO, NINE, LOWER_E, UPPER_E, UPPER_N, UPPER_I, LOWER_N] = [0x30, 0x39, 0x65, 0x45, 0x4e, 0x49, 0x6e];
const SPACE = 0x20;
const END = -1;

/** So many digits are exact in a double; what is cut is below 1e-14 of the number, far from where a float32 would round otherwise. */
const DIGITS = 15;
const POWERS: Float64Array = Float64Array.from({ length: 23 }, (_, exponent) => 10 ** exponent);

/** Not JSON, or not of the shape that is read; `cut`: the text ends before it is whole. */
export class JsonProblem extends Error {
  readonly cut: boolean;

  constructor(message: string, cut = false) {
    super(message);
    this.name = "JsonProblem";
    this.cut = cut;
  }
}

/** Owns the place in the bytes. */
export class JsonCursor {
  readonly bytes: Uint8Array;
  at = 0;
  /** Of the key read last, without its quotes. */
  keyStart = 0;
  keyEnd = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The next byte that is no white space, which stays the next; -1 at the end. */
  peek(): number {
    const { bytes } = this;
    while (this.at < bytes.length) {
      const byte = bytes[this.at]!;
      if (byte > SPACE) return byte;
      this.at++;
    }
    return END;
  }

  expect(byte: number): void {
    const found = this.peek();
    if (found !== byte) throw this.problem(`"${String.fromCharCode(byte)}"`);
    this.at++;
  }

  /** At the next member of an object or a list, which `close` ends; false behind its end. */
  member(close: number, isFirst: boolean): boolean {
    const byte = this.peek();
    if (byte === close) {
      this.at++;
      return false;
    }
    if (isFirst) return true;
    if (byte !== COMMA) throw this.problem(`"," or "${String.fromCharCode(close)}"`);
    this.at++;
    return true;
  }

  /** Reads a key and its colon. */
  key(): void {
    this.expect(QUOTE);
    this.keyStart = this.at;
    this.endOfString();
    this.keyEnd = this.at - 1;
    this.expect(COLON);
  }

  /** Whether the key read last is this one, given as bytes. */
  isKey(name: Uint8Array): boolean {
    if (this.keyEnd - this.keyStart !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (this.bytes[this.keyStart + i] !== name[i]) return false;
    return true;
  }

  /** The key read last as a whole number; NaN where it is none. */
  keyNumber(): number {
    let value = 0;
    for (let at = this.keyStart; at < this.keyEnd; at++) {
      const byte = this.bytes[at]!;
      if (byte < ZERO || byte > NINE) return Number.NaN;
      value = 10 * value + (byte - ZERO);
    }
    return this.keyEnd > this.keyStart ? value : Number.NaN;
  }

  isNull(): boolean {
    return this.peek() === LOWER_N;
  }

  null(): void {
    this.literal("null");
  }

  /** A number within 1e-14 of its text; NaN and infinities where the text says so. */
  number(): number {
    const { bytes } = this;
    let byte = this.peek();
    const isNegative = byte === MINUS;
    if (isNegative) byte = bytes[++this.at] ?? END;
    if (byte === UPPER_N) return this.literal("NaN");
    if (byte === UPPER_I) return isNegative ? -this.literal("Infinity") : this.literal("Infinity");
    let value = 0;
    let digits = 0;
    let exponent = 0;
    const start = this.at;
    let at = start;
    for (; byte >= ZERO && byte <= NINE; byte = bytes[++at] ?? END) {
      if (digits >= DIGITS) exponent++;
      else {
        value = 10 * value + (byte - ZERO);
        if (value !== 0) digits++;
      }
    }
    if (at === start) throw this.problem("a number");
    if (byte === POINT) {
      const point = at;
      for (byte = bytes[++at] ?? END; byte >= ZERO && byte <= NINE; byte = bytes[++at] ?? END) {
        if (digits >= DIGITS) continue;
        value = 10 * value + (byte - ZERO);
        if (value !== 0) digits++;
        exponent--;
      }
      this.at = at;
      if (at === point + 1) throw this.problem("a digit");
    }
    this.at = at;
    if (byte === LOWER_E || byte === UPPER_E) exponent += this.exponent();
    // A number at the very end of the text may go on in what is missing.
    if (this.at >= bytes.length) throw this.problem("the rest of the text");
    if (exponent < 0) value = exponent >= -22 ? value / POWERS[-exponent]! : value * 10 ** exponent;
    else if (exponent > 0) value = exponent <= 22 ? value * POWERS[exponent]! : value * 10 ** exponent;
    return isNegative ? -value : value;
  }

  /** A text; only for short ones. */
  string(): string {
    this.peek();
    const start = this.at;
    this.expect(QUOTE);
    this.endOfString();
    try {
      return JSON.parse(Buffer.from(this.bytes.subarray(start, this.at)).toString("utf8")) as string;
    } catch {
      throw new JsonProblem(`expected a text at byte ${start}, found something else`);
    }
  }

  /** Goes behind a value of any kind. */
  skip(): void {
    const { bytes } = this;
    let depth = 0;
    do {
      const byte = this.peek();
      if (byte === END) throw this.problem("the rest of the text");
      this.at++;
      if (byte === QUOTE) this.endOfString();
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (depth === 0) {
          this.at--;
          throw this.problem("a value");
        }
        depth--;
      } else if (depth === 0) {
        // A number or a word ends where something else begins.
        while (this.at < bytes.length && isWord(bytes[this.at]!)) this.at++;
        if (this.at >= bytes.length) throw this.problem("the rest of the text");
      }
    } while (depth > 0);
  }

  /** Nothing may follow. */
  end(): void {
    if (this.peek() !== END) throw this.problem("the end");
  }

  problem(expected: string): JsonProblem {
    if (this.at >= this.bytes.length) return new JsonProblem("the reply ends in the middle", true);
    const found = Buffer.from(this.bytes.subarray(this.at, this.at + 20)).toString("latin1");
    return new JsonProblem(`expected ${expected} at byte ${this.at}, found ${JSON.stringify(found)}`);
  }

  /** From within a text to behind its quote. */
  private endOfString(): void {
    const { bytes } = this;
    const { length } = bytes;
    let at = this.at;
    while (at < length) {
      const byte = bytes[at++]!;
      if (byte === QUOTE) {
        this.at = at;
        return;
      }
      if (byte === BACKSLASH) at++;
    }
    this.at = length;
    throw this.problem("the end of a text");
  }

  private exponent(): number {
    const { bytes } = this;
    let byte = bytes[++this.at] ?? END;
    const isNegative = byte === MINUS;
    if (isNegative || byte === PLUS) byte = bytes[++this.at] ?? END;
    const start = this.at;
    let value = 0;
    for (; byte >= ZERO && byte <= NINE; byte = bytes[++this.at] ?? END)
      value = Math.min(9999, 10 * value + byte - ZERO);
    if (this.at === start) throw this.problem("a digit");
    return isNegative ? -value : value;
  }

  private literal(word: "null" | "NaN" | "Infinity"): number {
    for (let i = 0; i < word.length; i++) {
      if (this.bytes[this.at] !== word.charCodeAt(i)) throw this.problem(word);
      this.at++;
    }
    return word === "Infinity" ? Infinity : Number.NaN;
  }
}

/** The bytes of a key. */
export function keyBytes(name: string): Uint8Array {
  return Buffer.from(name, "latin1");
}

function isWord(byte: number): boolean {
  return byte > SPACE && byte !== COMMA && byte !== CLOSE_OBJECT && byte !== CLOSE_ARRAY && byte !== COLON;
}
