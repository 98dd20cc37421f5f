/** `tojson` as transformers defines it: Python's `json.dumps`, with characters as they are unless it is asked for ASCII. */

import { compare } from "./comparison.ts";
import { reprFloat } from "./repr.ts";
import { Dict, itemsOf, Markup, TemplateError, typeName, type Value } from "./values.ts";

export interface JsonStyle {
  readonly ascii: boolean;
  /** What a level is indented by; everything stands on one line where there is none. */
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sorted: boolean;
}

export function toJson(value: Value, style: JsonStyle, level = 0): string {
  const { indent } = style;
  const line = indent === undefined ? "" : `\n${indent.repeat(level + 1)}`;
  const enclose = (open: string, parts: readonly string[], close: string): string => {
    if (parts.length === 0) return open + close;
    const end = indent === undefined ? "" : `\n${indent.repeat(level)}`;
    return open + line + parts.join(style.itemSeparator + line) + end + close;
  };
  const items = itemsOf(value);
  if (items !== undefined)
    return enclose(
      "[",
      items.map((item) => toJson(item, style, level + 1)),
      "]",
    );
  if (value instanceof Dict) {
    const entries = style.sorted ? value.entries().sort(([a], [b]) => compare(a, b)) : value.entries();
    const parts = entries.map(
      ([key, item]) => quoted(keyText(key), style.ascii) + style.keySeparator + toJson(item, style, level + 1),
    );
    return enclose("{", parts, "}");
  }
  if (typeof value === "string") return quoted(value, style.ascii);
  if (value instanceof Markup) return quoted(value.text, style.ascii);
  return scalar(value);
}

function scalar(value: Value): string {
  if (value === null) return "null";
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") {
    return Number.isFinite(value)
      ? reprFloat(value)
      : Number.isNaN(value)
        ? "NaN"
        : value > 0
          ? "Infinity"
          : "-Infinity";
  }
  throw new TemplateError(`expected a value that JSON has, found ${typeName(value)}`);
}

function keyText(key: Value): string {
  if (typeof key === "string") return key;
  if (key instanceof Markup) return key.text;
  return scalar(key);
}

const SHORT_ESCAPES = new Map([
  ["\\", "\\\\"],
  ['"', '\\"'],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\b", "\\b"],
  ["\f", "\\f"],
]);

const CONTROL = /["\\]|[^ -\u{10ffff}]/gu;
const NOT_ASCII = /[^ !#-[\]-~]/g;

function quoted(text: string, ascii: boolean): string {
  const escaped = text.replace(ascii ? NOT_ASCII : CONTROL, (unit) => {
    return SHORT_ESCAPES.get(unit) ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}
