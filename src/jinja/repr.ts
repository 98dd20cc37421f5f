/** How Python prints values: `str` as `{{ }}` does it, `repr` as it stands inside printed lists and dicts. */
import {
  Dict,
  isList,
  Markup,
  Namespace,
  Range,
  Tuple,
  typeName,
  Undefined,
  Unsupported,
  type Value,
  View,
} from "./values.ts";

export function toText(value: Value): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return "";
  return repr(value);
}

export function repr(value: Value): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return reprFloat(value);
  if (typeof value === "string") return reprText(value);
  if (value instanceof Markup) return `Markup(${reprText(value.text)})`;
  if (value instanceof Undefined) return "Undefined";
  if (isList(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Tuple) return `(${value.items.map(repr).join(", ")}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof Dict) {
    return `{${value
      .entries()
      .map(([key, item]) => `${repr(key)}: ${repr(item)}`)
      .join(", ")}}`;
  }
  if (value instanceof Range) {
    return `range(${value.start}, ${value.stop}${value.step === 1n ? "" : `, ${value.step}`})`;
  }
  if (value instanceof View) return `${value.kind}(${repr(value.items)})`;
  if (value instanceof Namespace) {
    return `<Namespace ${repr(new Dict(value.attributes))}>`;
  }
  throw new Unsupported(`${typeName(value)} has no text that two machines would agree on`);
}

/** The shortest digits that give the number back, as in JavaScript, with Python's exponents. */
export function reprFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const exponent = value === 0 ? 0 : Number(value.toExponential().split("e")[1]);
  if (exponent < -4 || exponent >= 16) {
    const [digits, power] = value.toExponential().split("e") as [string, string];
    return `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`;
  }
  if (Number.isInteger(value)) return `${BigInt(value)}.0`;
  return String(value);
}

const SHORT_ESCAPES = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

/** Everything that is not printed: controls, formats, unassigned characters, and all blanks but the space. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}|\\/gu;

export function reprText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(UNPRINTABLE, (character) => {
    const short = SHORT_ESCAPES.get(character);
    if (short !== undefined) return short;
    const code = character.codePointAt(0)!;
    const hex = code.toString(16);
    return code < 0x100
      ? `\\x${hex.padStart(2, "0")}`
      : code < 0x10000
        ? `\\u${hex.padStart(4, "0")}`
        : `\\U${hex.padStart(8, "0")}`;
  });
  return `${quote}${quote === "'" ? escaped.replaceAll("'", "\\'") : escaped}${quote}`;
}
