/** Methods of Python's `str`. Positions and lengths are code points. */
import { bind, intOf, optionalInt, textOf } from "./arguments.ts";
import { areAll, capitalize, isLower, isUpper, swapCase, titled } from "./letters.ts";
import { PYTHON_LINE_END, PYTHON_SPACE, stripPython } from "./spaces.ts";
import { type Call, iterate, lengthOfText, TemplateError, Tuple, type Value } from "./values.ts";

type Method = (text: string, given: Call, where: string) => Value;

/** Characters that filling up may give. */
const WIDEST = 1 << 20;

function withoutArguments(method: (text: string) => Value): Method {
  return (text, given, where) => {
    bind(where, given, []);
    return method(text);
  };
}

export const TEXT_METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["lower", withoutArguments((text) => text.toLowerCase())],
  ["upper", withoutArguments((text) => text.toUpperCase())],
  ["capitalize", withoutArguments(capitalize)],
  ["title", withoutArguments(titled)],
  ["swapcase", withoutArguments(swapCase)],
  ["isspace", withoutArguments((text) => text !== "" && stripPython(text) === "")],
  ["islower", withoutArguments(isLower)],
  ["isupper", withoutArguments(isUpper)],
  ["isascii", withoutArguments((text) => !/[\u0080-\uffff]/.test(text))],
  ["isalnum", withoutArguments((text) => areAll("isalnum", text))],
  ["isalpha", withoutArguments((text) => areAll("isalpha", text))],
  ["isdecimal", withoutArguments((text) => areAll("isdecimal", text))],
  ["isdigit", withoutArguments((text) => areAll("isdigit", text))],
  ["strip", (text, given, where) => stripPython(text, strippedCharacters(given, where))],
  ["lstrip", (text, given, where) => stripPython(text, strippedCharacters(given, where), true, false)],
  ["rstrip", (text, given, where) => stripPython(text, strippedCharacters(given, where), false, true)],
  ["split", (text, given, where) => split(text, given, where, false)],
  ["rsplit", (text, given, where) => split(text, given, where, true)],
  ["splitlines", splitLines],
  ["partition", (text, given, where) => partition(text, given, where, text.indexOf(separator(given, where)))],
  [
    "rpartition",
    (text, given, where) => partition(text, given, where, text.lastIndexOf(separator(given, where)), true),
  ],
  ["join", join],
  ["replace", replace],
  [
    "removeprefix",
    (text, given, where) => {
      const prefix = part(given, where);
      return text.startsWith(prefix) ? text.slice(prefix.length) : text;
    },
  ],
  [
    "removesuffix",
    (text, given, where) => {
      const suffix = part(given, where);
      return suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
    },
  ],
  ["startswith", (text, given, where) => hasEdge(text, given, where, (inside, edge) => inside.startsWith(edge))],
  ["endswith", (text, given, where) => hasEdge(text, given, where, (inside, edge) => inside.endsWith(edge))],
  ["find", (text, given, where) => BigInt(find(text, given, where, false))],
  ["rfind", (text, given, where) => BigInt(find(text, given, where, true))],
  ["index", (text, given, where) => found(find(text, given, where, false), where)],
  ["rindex", (text, given, where) => found(find(text, given, where, true), where)],
  ["count", count],
  [
    "center",
    (text, given, where) => filled(text, given, where, (missing, width) => (missing >> 1) + (missing & width & 1)),
  ],
  ["ljust", (text, given, where) => filled(text, given, where, () => 0)],
  ["rjust", (text, given, where) => filled(text, given, where, (missing) => missing)],
  ["zfill", zeroFill],
]);

/** Methods that Python has and that are not here: asked for, they are refused by name. */
export const OTHER_TEXT_METHODS: ReadonlySet<string> = new Set(
  "casefold encode expandtabs format_map isidentifier isnumeric isprintable istitle maketrans translate".split(" "),
);

function strippedCharacters(given: Call, where: string): string | undefined {
  const [characters] = bind(where, given, ["chars"]);
  return characters === null ? undefined : textOf(where, characters);
}

function part(given: Call, where: string): string {
  return textOf(where, bind(where, given, ["text"], 1)[0]!);
}

function separator(given: Call, where: string): string {
  const text = part(given, where);
  if (text === "") throw new TemplateError(`${where}: expected a separator, found an empty text`);
  return text;
}

function split(text: string, given: Call, where: string, fromRight: boolean): readonly string[] {
  const [by, most] = bind(where, given, ["sep", "maxsplit"]);
  const limit = intOf(where, most) ?? -1;
  const times = limit < 0 ? Number.POSITIVE_INFINITY : limit;
  if (by === undefined || by === null) return splitAtSpaces(text, times, fromRight);
  const mark = textOf(where, by);
  if (mark === "") throw new TemplateError(`${where}: expected a separator, found an empty text`);
  const parts = text.split(mark);
  if (parts.length - 1 <= times) return parts;
  const cut = fromRight ? parts.length - times : times;
  const rest = (fromRight ? parts.slice(0, cut) : parts.slice(cut)).join(mark);
  return fromRight ? [rest, ...parts.slice(cut)] : [...parts.slice(0, cut), rest];
}

const WORD = new RegExp(`[^${PYTHON_SPACE}]+`, "g");

function splitAtSpaces(text: string, times: number, fromRight: boolean): readonly string[] {
  const matches = [...text.matchAll(WORD)];
  if (matches.length <= times) return matches.map(([word]) => word);
  // What is not cut any more keeps its blanks, but for those at its outer end.
  if (fromRight) {
    const kept = matches.slice(matches.length - times);
    const rest = text.slice(0, kept[0]?.index ?? text.length);
    return [stripPython(rest, undefined, false, true), ...kept.map(([word]) => word)];
  }
  return [...matches.slice(0, times).map(([word]) => word), text.slice(matches[times]!.index)];
}

const LINE_END = new RegExp(`(\\r\\n|[${PYTHON_LINE_END}])`);

function splitLines(text: string, given: Call, where: string): readonly string[] {
  const [keeps] = bind(where, given, ["keepends"]);
  const withEnds = keeps !== undefined && keeps !== false && keeps !== 0n;
  const lines = text.split(LINE_END);
  const result: string[] = [];
  for (let index = 0; index < lines.length; index += 2) {
    const [line, end = ""] = lines.slice(index, index + 2);
    if (line !== "" || end !== "") result.push(withEnds ? line! + end : line!);
  }
  return result;
}

function partition(text: string, given: Call, where: string, place: number, fromRight = false): Tuple {
  const mark = separator(given, where);
  if (place < 0) return new Tuple(fromRight ? ["", "", text] : [text, "", ""]);
  return new Tuple([text.slice(0, place), mark, text.slice(place + mark.length)]);
}

function join(text: string, given: Call, where: string): string {
  const items = iterate(bind(where, given, ["iterable"], 1)[0]!);
  return items.map((item) => textOf(where, item)).join(text);
}

function replace(text: string, given: Call, where: string): string {
  const [old, fresh, most] = bind(where, given, ["old", "new", "count"], 2);
  const [from, to] = [textOf(where, old!), textOf(where, fresh!)];
  const limit = intOf(where, most) ?? -1;
  return replaceText(text, from, to, limit < 0 ? Number.POSITIVE_INFINITY : limit);
}

/** An empty text is found before every character and at the end. */
export function replaceText(text: string, from: string, to: string, times: number): string {
  const parts = from === "" ? ["", ...text] : text.split(from);
  if (from === "") parts.push("");
  const joined = parts.slice(0, times + 1).join(to);
  const rest = parts.slice(times + 1);
  return rest.length === 0 ? joined : joined + rest.map((one) => from + one).join("");
}

/** The part of the text between two positions in code points, which count from the end where they are negative. */
function between(
  text: string,
  start: number | undefined,
  end: number | undefined,
): { inside: string; offset: number } | undefined {
  if (start === undefined && end === undefined) return { inside: text, offset: 0 };
  const characters = Array.from(text);
  const length = characters.length;
  const place = (position: number): number => (position < 0 ? Math.max(0, position + length) : position);
  const [first, last] = [place(start ?? 0), Math.min(length, place(end ?? length))];
  return first > last || first > length ? undefined : { inside: characters.slice(first, last).join(""), offset: first };
}

function range(given: Call, where: string): [Value, number | undefined, number | undefined] {
  const [wanted, start, end] = bind(where, given, ["sub", "start", "end"], 1);
  return [wanted!, optionalInt(where, start), optionalInt(where, end)];
}

function hasEdge(text: string, given: Call, where: string, has: (inside: string, edge: string) => boolean): boolean {
  const [wanted, start, end] = range(given, where);
  const part = between(text, start, end);
  const edges = wanted instanceof Tuple ? wanted.items : [wanted];
  return edges.map((edge) => textOf(where, edge)).some((edge) => part !== undefined && has(part.inside, edge));
}

function find(text: string, given: Call, where: string, fromRight: boolean): number {
  const [wanted, start, end] = range(given, where);
  const mark = textOf(where, wanted);
  const part = between(text, start, end);
  if (part === undefined) return -1;
  const place = fromRight ? part.inside.lastIndexOf(mark) : part.inside.indexOf(mark);
  return place < 0 ? -1 : part.offset + lengthOfText(part.inside.slice(0, place));
}

function found(place: number, where: string): bigint {
  if (place < 0) throw new TemplateError(`${where}: the text is not there`);
  return BigInt(place);
}

function count(text: string, given: Call, where: string): bigint {
  const [wanted, start, end] = range(given, where);
  const mark = textOf(where, wanted);
  const part = between(text, start, end);
  if (part === undefined) return 0n;
  return BigInt(mark === "" ? lengthOfText(part.inside) + 1 : part.inside.split(mark).length - 1);
}

/** `before` says how many of the missing characters stand before the text. */
function filled(text: string, given: Call, where: string, before: (missing: number, width: number) => number): string {
  const [wide, fill] = bind(where, given, ["width", "fillchar"], 1);
  const width = checkedWidth(intOf(where, wide!), where);
  const character = textOf(where, fill) ?? " ";
  if (lengthOfText(character) !== 1) throw new TemplateError(`${where}: expected one character to fill with`);
  const missing = Math.max(0, width - lengthOfText(text));
  const left = before(missing, width);
  return character.repeat(left) + text + character.repeat(missing - left);
}

function checkedWidth(width: number, where: string): number {
  if (width > WIDEST) throw new TemplateError(`${where}: expected a width of at most ${WIDEST}, found ${width}`);
  return width;
}

function zeroFill(text: string, given: Call, where: string): string {
  const width = checkedWidth(intOf(where, bind(where, given, ["width"], 1)[0]!), where);
  const [, sign, rest] = /^([+-]?)(.*)$/s.exec(text)!;
  return sign + "0".repeat(Math.max(0, width - lengthOfText(text))) + rest;
}
