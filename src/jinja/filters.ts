/** Jinja's filters, by name. */
import { bind, intOf, optionalInt, textOf } from "./arguments.ts";
import { escapedText, signed } from "./arithmetic.ts";
import type { Filter } from "./filter.ts";
import { formatPercent } from "./format-percent.ts";
import { toJson } from "./json.ts";
import { capitalize } from "./letters.ts";
import { LIST_FILTERS } from "./list-filters.ts";
import { toText } from "./repr.ts";
import { roundFilter } from "./round.ts";
import { PYTHON_LINE_END, PYTHON_SPACE, stripPython } from "./spaces.ts";
import { replaceText, TEXT_METHODS } from "./text-methods.ts";
import {
  type Call,
  Dict,
  isInteger,
  isNumber,
  isTrue,
  itemsOf,
  lengthOf,
  lengthOfText,
  Markup,
  numeric,
  Once,
  orElse,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from "./values.ts";

/** A filter on a text, whatever the value is. */
function ofText(filter: (text: string) => Value): Filter {
  return (value, given, where) => {
    bind(where, given, []);
    return filter(toText(value));
  };
}

const OWN_FILTERS: readonly (readonly [string, Filter])[] = [
  [
    "abs",
    (value, given, where) => {
      bind(where, given, []);
      const negative = isNumber(value) && (numeric(value) < 0 || Object.is(value, -0));
      return signed(negative ? "-" : "+", value);
    },
  ],
  ["capitalize", ofText(capitalize)],
  [
    "center",
    (value, given, where) => {
      const [width] = bind(where, given, ["width"]);
      return TEXT_METHODS.get("center")!(toText(value), { positional: [width ?? 80n], keyword: new Map() }, where);
    },
  ],
  ["default", byDefault],
  ["d", byDefault],
  ["escape", escaped],
  ["e", escaped],
  ["safe", ofText((text) => new Markup(text))],
  [
    "float",
    (value, given, where) => {
      const [otherwise] = bind(where, given, ["default"]);
      return toFloat(value) ?? orElse(otherwise, 0);
    },
  ],
  [
    "int",
    (value, given, where) => {
      const [otherwise, base] = bind(where, given, ["default", "base"]);
      return toInt(value, intOf(where, base) ?? 10) ?? orElse(otherwise, 0n);
    },
  ],
  [
    "format",
    (value, given) => {
      const { positional, keyword } = given;
      if (positional.length > 0 && keyword.size > 0)
        throw new TemplateError("format: expected values with names or without");
      const values = keyword.size > 0 ? new Dict(keyword) : new Tuple(positional);
      return formatPercent(toText(value), values);
    },
  ],
  ["indent", indent],
  [
    "items",
    (value, given, where) => {
      bind(where, given, []);
      if (value instanceof Undefined) return new Once([], "items");
      if (!(value instanceof Dict)) throw new TemplateError(`items: expected a dict, found ${typeName(value)}`);
      return new Once(
        value.entries().map((entry) => new Tuple(entry)),
        "items",
      );
    },
  ],
  ["length", length],
  ["count", length],
  ["lower", ofText((text) => text.toLowerCase())],
  ["upper", ofText((text) => text.toUpperCase())],
  [
    "replace",
    (value, given, where) => {
      const [old, fresh, most] = bind(where, given, ["old", "new", "count"], 2);
      const times = optionalInt(where, most) ?? -1;
      return replaceText(toText(value), toText(old!), toText(fresh!), times < 0 ? Number.POSITIVE_INFINITY : times);
    },
  ],
  ["round", roundFilter],
  [
    "string",
    (value, given, where) => {
      bind(where, given, []);
      return value instanceof Markup ? value : toText(value);
    },
  ],
  ["title", ofText((text) => titleWords(text))],
  ["tojson", tojson],
  [
    "trim",
    (value, given, where) => {
      const [characters] = bind(where, given, ["chars"]);
      return stripPython(toText(value), characters === null ? undefined : textOf(where, characters));
    },
  ],
  ["truncate", truncate],
  ["urlencode", urlEncode],
  ["wordcount", ofText((text) => BigInt(text.match(WORD)?.length ?? 0))],
];

const FILTERS: ReadonlyMap<string, Filter> = new Map([...OWN_FILTERS, ...LIST_FILTERS]);

/** Filters of Jinja that are not here: their result is HTML, or depends on chance. */
const REFUSED: ReadonlySet<string> = new Set(
  "filesizeformat forceescape pprint random striptags urlize wordwrap xmlattr".split(" "),
);

export function filterNamed(name: string): Filter {
  const filter = FILTERS.get(name);
  if (filter !== undefined) return filter;
  throw new Unsupported(REFUSED.has(name) ? `the filter ${name} is not supported` : `there is no filter named ${name}`);
}

const WORD = /[\p{L}\p{N}_]+/gu;

function byDefault(value: Value, given: Call, where: string): Value {
  const [otherwise, alsoFalse] = bind(where, given, ["default_value", "boolean"]);
  const isMissing = value instanceof Undefined || (alsoFalse !== undefined && isTrue(alsoFalse) && !isTrue(value));
  return isMissing ? orElse(otherwise, "") : value;
}

function escaped(value: Value, given: Call, where: string): Value {
  bind(where, given, []);
  return new Markup(escapedText(value instanceof Markup ? value : toText(value)));
}

function length(value: Value, given: Call, where: string): Value {
  bind(where, given, []);
  return BigInt(lengthOf(value));
}

function toFloat(value: Value): number | undefined {
  if (value instanceof Undefined) throw new TemplateError(`${value.what} is not defined, so it is no number`);
  if (isNumber(value)) return Number(value);
  if (typeof value !== "string") return undefined;
  const text = stripPython(value).replaceAll(/(?<=\d)_(?=\d)/g, "");
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (special !== null) {
    if (special[2]!.toLowerCase() === "nan") return Number.NaN;
    return special[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  return /^[+-]?(\d+(?:\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

function toInt(value: Value, base: number): bigint | undefined {
  if (isInteger(value)) return BigInt(value);
  if (typeof value === "string") {
    const text = stripPython(value).replaceAll(/(?<=\d)_(?=\d)/g, "");
    if (base !== 10) throw new Unsupported("int: only the base 10 is supported");
    if (/^[+-]?\d+$/.test(text)) return BigInt(text.replace("+", ""));
  }
  const float = toFloat(value);
  return float === undefined || !Number.isFinite(float) ? undefined : BigInt(Math.trunc(float));
}

/** Lines but the first, and blank ones, are moved in by a width or by a text. */
function indent(value: Value, given: Call, where: string): Value {
  const [width, first, blank] = bind(where, given, ["width", "first", "blank"]);
  const by = typeof width === "string" ? width : " ".repeat(Math.max(0, Math.min(1 << 16, intOf(where, width) ?? 4)));
  const isSet = (flag: Value | undefined): boolean => flag !== undefined && isTrue(flag);
  // A text that ends in a line end gets none after it where blank lines are left alone.
  const lines = `${textOf(where, value)}\n`.split(LINE_ENDS);
  if (lines.at(-1) === "") lines.pop();
  const [start = "", ...rest] = lines;
  const moved = rest.map((line) => (line === "" && !isSet(blank) ? line : by + line));
  return (isSet(first) ? by : "") + [start, ...moved].join("\n");
}

const LINE_ENDS = new RegExp(`\\r\\n|[${PYTHON_LINE_END}]`);

const WORD_START = new RegExp(`([-${PYTHON_SPACE}({\\[<]+)`);

/** Jinja's own title case: words begin at blanks, hyphens and opening brackets only. */
function titleWords(text: string): string {
  return text
    .split(WORD_START)
    .map((word) => {
      const [first = "", ...rest] = word;
      return first.toUpperCase() + rest.join("").toLowerCase();
    })
    .join("");
}

function tojson(value: Value, given: Call, where: string): Value {
  const [ascii, indentation, separators, sorted] = bind(where, given, [
    "ensure_ascii",
    "indent",
    "separators",
    "sort_keys",
  ]);
  const indented =
    indentation === undefined || indentation === null
      ? undefined
      : typeof indentation === "string"
        ? indentation
        : " ".repeat(Math.max(0, Math.min(1 << 10, intOf(where, indentation))));
  const pair = separators === undefined || separators === null ? undefined : itemsOf(separators);
  if (separators !== undefined && separators !== null && pair?.length !== 2) {
    throw new TemplateError("tojson: expected two separators");
  }
  return toJson(value, {
    ascii: ascii !== undefined && isTrue(ascii),
    indent: indented,
    itemSeparator: pair === undefined ? (indented === undefined ? ", " : ",") : textOf(where, pair[0]!),
    keySeparator: pair === undefined ? ": " : textOf(where, pair[1]!),
    sorted: sorted !== undefined && isTrue(sorted),
  });
}

function truncate(value: Value, given: Call, where: string): Value {
  const [most, killWords, end, leeway] = bind(where, given, ["length", "killwords", "end", "leeway"]);
  const [length, rest] = [intOf(where, most) ?? 255, textOf(where, end) ?? "..."];
  if (lengthOf(value) <= length + (optionalInt(where, leeway) ?? 5)) return value;
  const text = textOf(where, value);
  const kept = Array.from(text)
    .slice(0, Math.max(0, length - lengthOfText(rest)))
    .join("");
  if (killWords !== undefined && isTrue(killWords)) return kept + rest;
  const space = kept.lastIndexOf(" ");
  return (space < 0 ? kept : kept.slice(0, space)) + rest;
}

function urlEncode(value: Value, given: Call, where: string): Value {
  bind(where, given, []);
  if (typeof value !== "string") throw new Unsupported(`urlencode: only texts are supported, found ${typeName(value)}`);
  return encodeURIComponent(value)
    .replaceAll("%2F", "/")
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
