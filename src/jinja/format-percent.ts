/** `text % values`, and the filter `format`, which is the same. */
import { FLOAT_TYPES, floatDigits, intDigits } from "./format-number.ts";
import { repr, toText } from "./repr.ts";
import {
  Dict,
  isInteger,
  isList,
  isNumber,
  lengthOfText,
  numeric,
  Range,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from "./values.ts";

const SPECIFIER = /%(?:\((.*?)\))?([-#0 +]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?(.|$)/gsu;

/** Characters that a field may have. */
const WIDEST = 1 << 20;

export function formatPercent(template: string, values: Value): string {
  const given = values instanceof Tuple ? values.items : [values];
  let next = 0;
  let usesNames = false;
  const take = (): Value => {
    if (next >= given.length) throw new TemplateError("not enough values for the format");
    return given[next++]!;
  };
  const takeWidth = (text: string | undefined): number | undefined => {
    if (text === undefined) return undefined;
    const value = text === "*" ? take() : BigInt(text);
    if (!isInteger(value)) throw new TemplateError(`expected an int as width, found ${typeName(value)}`);
    if (numeric(value) > WIDEST) throw new TemplateError(`expected a width of at most ${WIDEST}, found ${value}`);
    return Number(value);
  };
  const text = template.replace(SPECIFIER, (whole, name, flags: string, width, precision, type: string) => {
    if (whole === "%%") return "%";
    const minimum = takeWidth(width);
    const places = takeWidth(precision === "" ? "0" : precision);
    let value: Value;
    if (name === undefined) value = take();
    else {
      usesNames = true;
      const found = values instanceof Dict ? values.get(name) : undefined;
      if (found === undefined) throw new TemplateError(`expected a value named ${name} for the format`);
      value = found;
    }
    const isLeft = flags.includes("-") || (minimum ?? 0) < 0;
    return padded(
      field(value, type, flags, places),
      Math.abs(minimum ?? 0),
      isLeft,
      flags.includes("0") && !"srac".includes(type),
    );
  });
  // Whatever has members may be there for its names alone.
  const hasMembers = isList(values) || [Dict, Range, Undefined].some((kind) => values instanceof kind);
  const isLeftOver = next < given.length && !hasMembers;
  if (isLeftOver && !usesNames) throw new TemplateError("more values than the format has places");
  return text;
}

interface Field {
  /** Sign or base, before which blanks and behind which zeros are put. */
  readonly prefix: string;
  readonly text: string;
}

function field(value: Value, type: string, flags: string, precision: number | undefined): Field {
  if (type === "s" || type === "r") {
    const text = type === "s" ? toText(value) : repr(value);
    return { prefix: "", text: precision === undefined ? text : Array.from(text).slice(0, precision).join("") };
  }
  if (type === "c") return { prefix: "", text: character(value) };
  const isInt = "diuoxX".includes(type) && type !== "";
  if (!isInt && !(FLOAT_TYPES.includes(type) && type !== "")) {
    throw new Unsupported(`the format %${type} is not supported`);
  }
  if (!isNumber(value)) throw new TemplateError(`expected a number for %${type}, found ${typeName(value)}`);
  const number = numeric(value);
  if (!isInt) {
    const sign = signOf(number < 0 || Object.is(number, -0), flags);
    return { prefix: sign, text: floatDigits(Number(number), type, precision ?? 6, flags.includes("#")) };
  }
  if (typeof number === "number" && "oxX".includes(type)) {
    throw new TemplateError(`expected an int for %${type}, found float`);
  }
  const int = typeof number === "number" ? truncated(number) : number;
  const base = flags.includes("#") && "oxX".includes(type) ? `0${type}` : "";
  return { prefix: signOf(int < 0n, flags) + base, text: intDigits(int, type).padStart(precision ?? 0, "0") };
}

function signOf(isNegative: boolean, flags: string): string {
  if (isNegative) return "-";
  return flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
}

function truncated(value: number): bigint {
  if (!Number.isFinite(value)) throw new TemplateError("expected a finite number for %d");
  return BigInt(Math.trunc(value));
}

function character(value: Value): string {
  if (typeof value === "string" && lengthOfText(value) === 1) return value;
  if (isInteger(value) && numeric(value) >= 0 && numeric(value) <= 0x10ffff) return String.fromCodePoint(Number(value));
  throw new TemplateError(`expected one character for %c, found ${typeName(value)}`);
}

function padded({ prefix, text }: Field, width: number, isLeft: boolean, withZeros: boolean): string {
  const missing = Math.max(0, width - lengthOfText(prefix) - lengthOfText(text));
  if (isLeft) return prefix + text + " ".repeat(missing);
  return withZeros && /^\d/.test(text) ? prefix + "0".repeat(missing) + text : " ".repeat(missing) + prefix + text;
}
