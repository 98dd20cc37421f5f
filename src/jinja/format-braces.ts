/** `str.format`: fields in braces, with attributes, items, conversions and format specifications. */
import { FLOAT_TYPES, floatDigits, grouped, intDigits } from "./format-number.ts";
import { repr, reprFloat, toText } from "./repr.ts";
import {
  type Call,
  isNumber,
  lengthOfText,
  numeric,
  TemplateError,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from "./values.ts";

/** How a field's members are looked up: as everywhere in the template. */
export interface Members {
  attribute(object: Value, name: string): Value;
  item(object: Value, key: Value): Value;
}

const WIDEST = 1 << 20;

export function formatBraces(template: string, given: Call, members: Members): string {
  let automatic = 0;
  let numbered = false;
  const fieldValue = (field: string): Value => {
    const [, first, path] = /^([^.[]*)(.*)$/s.exec(field)!;
    const isNumbered = /^\d+$/.test(first!);
    if ((first === "" && numbered) || (isNumbered && automatic > 0)) {
      throw new TemplateError("expected all fields of the format with numbers or all without");
    }
    numbered ||= isNumbered;
    const key = first === "" ? String(automatic++) : first!;
    const value = /^\d+$/.test(key) ? given.positional[Number(key)] : given.keyword.get(key);
    if (value === undefined) throw new TemplateError(`expected a value for {${field}} of the format`);
    return follow(value, path!, members);
  };
  const expand = (text: string, depth: number): string => {
    let result = "";
    let position = 0;
    while (position < text.length) {
      const brace = text.slice(position).search(/[{}]/);
      if (brace < 0) return result + text.slice(position);
      result += text.slice(position, position + brace);
      position += brace;
      if (text[position + 1] === text[position]) {
        result += text[position];
        position += 2;
        continue;
      }
      const end = text[position] === "{" ? closing(text, position) : -1;
      if (end < 0) throw new TemplateError("expected braces in pairs in the format");
      const [, field, conversion, , spec] = /^([^!:]*)(?:!(.))?(:(.*))?$/s.exec(text.slice(position + 1, end)) ?? [];
      if (field === undefined) throw new TemplateError("expected a field between the braces of the format");
      const value = converted(fieldValue(field), conversion);
      const expanded = spec === undefined ? "" : depth === 0 ? expand(spec, 1) : spec;
      result += formatValue(value, expanded);
      position = end + 1;
    }
    return result;
  };
  return expand(template, 0);
}

function closing(text: string, start: number): number {
  let depth = 0;
  for (let index = start; index < text.length; index++) {
    if (text[index] === "{") depth += 1;
    else if (text[index] === "}" && --depth === 0) return index;
  }
  return -1;
}

function follow(start: Value, path: string, members: Members): Value {
  let value = start;
  for (const [, name, key] of path.matchAll(/\.([^.[]+)|\[([^\]]*)\]/g)) {
    const member: Value =
      name !== undefined
        ? members.attribute(value, name)
        : members.item(value, /^\d+$/.test(key!) ? BigInt(key!) : key!);
    if (member instanceof Undefined) throw new TemplateError(`expected ${member.what} for the format, found nothing`);
    value = member;
  }
  return value;
}

function converted(value: Value, conversion: string | undefined): Value {
  if (conversion === undefined) return value;
  if (conversion === "s") return toText(value);
  if (conversion === "r") return repr(value);
  throw new TemplateError(`expected a conversion !s or !r in the format, found !${conversion}`);
}

const SPECIFICATION = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su;

/** `format(value, spec)`. */
export function formatValue(value: Value, spec: string): string {
  if (spec === "") return toText(value);
  const match = SPECIFICATION.exec(spec);
  if (match === null) throw new TemplateError(`expected a format specification, found ${JSON.stringify(spec)}`);
  const [, fill, align, sign, alternate, zero, width, separator, precision, type] = match;
  if (Number(width ?? 0) > WIDEST) throw new TemplateError(`expected a width of at most ${WIDEST}, found ${width}`);
  if (alternate !== undefined) throw new Unsupported("# in a format specification is not supported");
  const filler = fill ?? (zero === undefined ? " " : "0");
  const places = precision === undefined ? undefined : Number(precision);
  if (typeof value === "string") {
    if (sign !== undefined || separator !== undefined || align === "=" || (type ?? "s") !== "s") {
      throw new TemplateError(`expected a format specification of a text, found ${JSON.stringify(spec)}`);
    }
    const text = places === undefined ? value : Array.from(value).slice(0, places).join("");
    return aligned("", text, Number(width ?? 0), align ?? "<", filler);
  }
  if (!isNumber(value)) {
    throw new TemplateError(`expected a text or a number for the format specification, found ${typeName(value)}`);
  }
  const number = numeric(value);
  const digits = numberText(number, type, places, spec);
  const whole = separator === undefined ? digits : grouped(digits, separator, "box".includes(type ?? "d") ? 4 : 3);
  const isNegative = number < 0 || Object.is(number, -0);
  const prefix = isNegative ? "-" : sign === "+" || sign === " " ? sign : "";
  if (zero !== undefined && separator !== undefined) {
    throw new Unsupported(`zeros with separators are not supported, found ${JSON.stringify(spec)}`);
  }
  return aligned(prefix, whole, Number(width ?? 0), align ?? (zero === undefined ? ">" : "="), filler);
}

function numberText(
  number: bigint | number,
  type: string | undefined,
  places: number | undefined,
  spec: string,
): string {
  if (typeof number === "bigint" && "dboxX".includes(type ?? "d")) {
    if (places !== undefined) throw new TemplateError(`expected no places for an int, found ${JSON.stringify(spec)}`);
    return intDigits(number, type ?? "d");
  }
  const float = Number(number);
  if (type === "%") return `${floatDigits(float * 100, "f", places ?? 6)}%`;
  if (type !== undefined && FLOAT_TYPES.includes(type)) return floatDigits(float, type, places ?? 6);
  if (type !== undefined || places !== undefined) {
    throw new Unsupported(`the format specification ${JSON.stringify(spec)} is not supported`);
  }
  return reprFloat(Math.abs(float));
}

function aligned(prefix: string, text: string, width: number, align: string, filler: string): string {
  const missing = Math.max(0, width - lengthOfText(prefix) - lengthOfText(text));
  if (align === "=") return prefix + filler.repeat(missing) + text;
  const left = align === "<" ? 0 : align === ">" ? missing : Math.floor(missing / 2);
  return filler.repeat(left) + prefix + text + filler.repeat(missing - left);
}
