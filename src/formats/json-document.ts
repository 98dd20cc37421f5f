/**
 * JSON as Python writes it, kept as it is written: a number stays the text it was (`30.0`, `1e-05`, a whole number
 * beyond 2^53, `NaN` and `Infinity`, which `json.dump` writes), and names stay in their order, whole numbers among
 * them too. What is read, changed in one place and written again differs in that place alone; JavaScript's own numbers
 * would turn 30.0 into 30, which readers with strict types refuse.
 */

/** A number by the text that stands for it. */
export interface JsonNumber {
  readonly literal: string;
}

export type JsonObject = Map<string, JsonValue>;
export type JsonValue = null | boolean | string | JsonNumber | JsonValue[] | JsonObject;

/** A document, or the position, in UTF-16 units, of the first thing that makes the text no JSON. */
export type ParsedJson = { readonly value: JsonValue } | { readonly errorAt: number };

type Expected = "value" | "value or ]" | "name or }" | "name" | ":" | "," | "end";

/** Reads a whole text. Nothing recurses: the depth of a text from outside is its author's choice. */
export function parseJsonDocument(text: string): ParsedJson {
  const open: (JsonValue[] | JsonObject)[] = [];
  const names: string[] = [];
  let expected: Expected = "value";
  let root: JsonValue = null;
  const put = (value: JsonValue): void => {
    const within = open.at(-1);
    if (within === undefined) root = value;
    else if (Array.isArray(within)) within.push(value);
    else within.set(names.pop()!, value);
  };
  const afterValue = (): Expected => (open.length > 0 ? "," : "end");
  let position = 0;
  for (;;) {
    const start = afterSpace(text, position);
    if (start === text.length) return expected === "end" ? { value: root } : { errorAt: start };
    const mark = text[start]!;
    position = start + 1;
    if (mark === "{" || mark === "[") {
      if (!expected.startsWith("value")) return { errorAt: start };
      const inside: JsonValue[] | JsonObject = mark === "{" ? new Map() : [];
      put(inside);
      open.push(inside);
      expected = mark === "{" ? "name or }" : "value or ]";
    } else if (mark === "}" || mark === "]") {
      const closes = Array.isArray(open.at(-1)) === (mark === "]") && open.length > 0;
      if (!closes || !(expected === "," || expected.endsWith(mark))) return { errorAt: start };
      open.pop();
      expected = afterValue();
    } else if (mark === ",") {
      if (expected !== ",") return { errorAt: start };
      expected = Array.isArray(open.at(-1)) ? "value" : "name";
    } else if (mark === ":") {
      if (expected !== ":") return { errorAt: start };
      expected = "value";
    } else if (mark === '"') {
      const isName = expected.startsWith("name");
      const end = endOfString(text, start);
      const string = isName || expected.startsWith("value") ? stringAt(text, start, end) : undefined;
      if (string === undefined) return { errorAt: start };
      if (isName) names.push(string);
      else put(string);
      expected = isName ? ":" : afterValue();
      position = end;
    } else {
      const end = afterWord(text, start);
      const word = text.slice(start, end);
      if (!expected.startsWith("value")) return { errorAt: start };
      if (word === "true" || word === "false") put(word === "true");
      else if (word === "null") put(null);
      else if (isNumber(word)) put({ literal: word });
      else return { errorAt: start };
      expected = afterValue();
      position = end;
    }
  }
}

function afterSpace(text: string, from: number): number {
  let at = from;
  for (;;) {
    const mark = text[at];
    if (mark !== " " && mark !== "\n" && mark !== "\t" && mark !== "\r") return at;
    at += 1;
  }
}

/** Behind the letters, digits, points and signs that begin at `from`. */
function afterWord(text: string, from: number): number {
  let at = from;
  while (at < text.length && WORD_MARKS.has(text[at]!)) at += 1;
  return at;
}

const DIGITS = new Set("0123456789");
const HEXADECIMAL = new Set("0123456789abcdefABCDEF");
const WORD_MARKS = new Set("0123456789+-._abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

/** A regular expression would do, were it not to fail on a number of some million digits. */
function isNumber(word: string): boolean {
  if (word === "NaN" || word === "Infinity" || word === "-Infinity") return true;
  let at = word[0] === "-" ? 1 : 0;
  const digits = (): number => {
    const from = at;
    while (DIGITS.has(word[at] ?? "")) at += 1;
    return at - from;
  };
  const leadingZero = word[at] === "0";
  const whole = digits();
  if (whole === 0 || (leadingZero && whole > 1)) return false;
  if (word[at] === ".") {
    at += 1;
    if (digits() === 0) return false;
  }
  if (word[at] === "e" || word[at] === "E") {
    at += 1;
    if (word[at] === "+" || word[at] === "-") at += 1;
    if (digits() === 0) return false;
  }
  return at === word.length;
}

/** Position behind the closing quote of the string that opens at `start`, or behind the text. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const mark = text[at];
    if (mark === '"') return at + 1;
    if (mark === "\\") at += 1;
  }
  return text.length + 1;
}

/**
 * The string between these quotes; undefined where it is none. Looked at before it is parsed: an error that is thrown takes
 * microseconds, and lines may be as short as three characters.
 */
function stringAt(text: string, start: number, end: number): string | undefined {
  return isString(text, start, end) ? (JSON.parse(text.slice(start, end)) as string) : undefined;
}

const ESCAPED = new Set('"\\/bfnrt');

/** Whether this is a closed string without a control character, whose escapes are those of JSON. */
function isString(text: string, start: number, end: number): boolean {
  if (end > text.length) return false;
  for (let at = start + 1; at < end - 1; at++) {
    if (text.charCodeAt(at) < 0x20) return false;
    if (text[at] !== "\\") continue;
    at += 1;
    if (text[at] !== "u") {
      if (!ESCAPED.has(text[at]!)) return false;
      continue;
    }
    for (let digit = 1; digit <= 4; digit++) if (!HEXADECIMAL.has(text[at + digit]!)) return false;
    at += 4;
  }
  return true;
}

/** Deeper lists and objects are not indented further: a text from outside may be nested a million times. */
const DEEPEST_INDENT = 50;

/** The text of a document, laid out as `JSON.stringify` and `json.dump` do it with an indent of two. */
export function printJson(root: JsonValue): string {
  const parts: string[] = [];
  const open: { readonly members: Iterator<readonly [string, JsonValue]>; readonly close: string; first: boolean }[] =
    [];
  const line = (): string => `\n${"  ".repeat(Math.min(open.length, DEEPEST_INDENT))}`;
  const begin = (value: JsonValue): void => {
    if (Array.isArray(value)) {
      parts.push(value.length === 0 ? "[]" : "[");
      if (value.length > 0) open.push({ members: unnamed(value), close: "]", first: true });
    } else if (value instanceof Map) {
      parts.push(value.size === 0 ? "{}" : "{");
      if (value.size > 0) open.push({ members: value.entries(), close: "}", first: true });
    } else parts.push(isJsonNumber(value) ? value.literal : JSON.stringify(value));
  };
  begin(root);
  for (let inner = open.at(-1); inner !== undefined; inner = open.at(-1)) {
    const next = inner.members.next();
    if (next.done === true) {
      open.pop();
      parts.push(line(), inner.close);
      continue;
    }
    const [name, member] = next.value;
    parts.push(inner.first ? "" : ",", line(), inner.close === "}" ? `${JSON.stringify(name)}: ` : "");
    inner.first = false;
    begin(member);
  }
  return parts.join("");
}

function* unnamed(list: readonly JsonValue[]): Generator<readonly [string, JsonValue], void> {
  for (const value of list) yield ["", value];
}

/** What `JSON.parse` would make of the document, were it to know `NaN` and `Infinity`. */
export function plainJson(root: JsonValue): unknown {
  const whole: { value?: unknown } = {};
  const left: { readonly from: JsonValue; readonly into: object; readonly name: string | number }[] = [
    { from: root, into: whole, name: "value" },
  ];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { from, into, name } = next;
    const isList = Array.isArray(from);
    const value = isList
      ? new Array(from.length)
      : from instanceof Map
        ? {}
        : isJsonNumber(from)
          ? numberOf(from)
          : from;
    // Defined, not assigned: the name may be `__proto__`.
    Object.defineProperty(into, name, { value, writable: true, enumerable: true, configurable: true });
    const members = isList ? [...from.entries()] : from instanceof Map ? [...from] : [];
    for (const [key, member] of members.reverse()) left.push({ from: member, into: value as object, name: key });
  }
  return whole.value;
}

export function isJsonNumber(value: JsonValue | undefined): value is JsonNumber {
  return typeof value === "object" && value !== null && "literal" in value;
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map;
}

/** The nearest double. */
export function numberOf({ literal }: JsonNumber): number {
  return Number(literal);
}

/** A whole number or another value that JavaScript prints as JSON does. */
export function jsonNumber(value: number): JsonNumber {
  return { literal: String(value) };
}
