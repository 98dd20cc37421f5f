/** A number by one of Python's presentation types, without sign: the part that `%`, `format` and `str.format` share. */
import { fixed, scientific } from "./decimals.ts";
import { TemplateError } from "./values.ts";

/** Places that a format may ask for. */
const MOST_PLACES = 1000;

export const FLOAT_TYPES = "eEfFgG";

/** Digits of a float by a type of `FLOAT_TYPES`; `keepsPoint` is the flag `#`. */
export function floatDigits(value: number, type: string, precision: number, keepsPoint = false): string {
  if (precision > MOST_PLACES) throw new TemplateError(`expected at most ${MOST_PLACES} places, found ${precision}`);
  const isUpper = type === type.toUpperCase();
  const cased = (text: string): string => (isUpper ? text.toUpperCase() : text);
  if (Number.isNaN(value)) return cased("nan");
  if (!Number.isFinite(value)) return cased("inf");
  switch (type.toLowerCase()) {
    case "f":
      return fixed(value, precision) + (keepsPoint && precision === 0 ? "." : "");
    case "e":
      return cased(exponential(scientific(value, precision), keepsPoint));
    default:
      return cased(general(value, precision === 0 ? 1 : precision, keepsPoint));
  }
}

function exponential({ digits, exponent }: ReturnType<typeof scientific>, keepsPoint: boolean): string {
  const point = digits.length > 1 || keepsPoint ? `.${digits.slice(1)}` : "";
  return `${digits[0]}${point}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** `g`: so many significant digits, without zeros at the end, with an exponent where the number is large or small. */
function general(value: number, significant: number, keepsPoint: boolean): string {
  const { digits, exponent } = scientific(value, significant - 1);
  if (exponent < -4 || exponent >= significant) {
    const kept = keepsPoint ? digits : digits[0] + digits.slice(1).replace(/0+$/, "");
    return exponential({ digits: kept, exponent }, keepsPoint);
  }
  const text = fixed(value, significant - 1 - exponent);
  return keepsPoint || !text.includes(".") ? text : text.replace(/\.?0+$/, "");
}

/** Digits of an int by one of the types d, b, o, x and X. */
export function intDigits(value: bigint, type: string): string {
  const magnitude = value < 0n ? -value : value;
  const base = type === "b" ? 2 : type === "o" ? 8 : type === "x" || type === "X" ? 16 : 10;
  const digits = magnitude.toString(base);
  return type === "X" ? digits.toUpperCase() : digits;
}

/** A separator between groups of digits before the point. */
export function grouped(digits: string, separator: string, size: number): string {
  const [whole, ...rest] = digits.split(/(?=[.e])/);
  const groups: string[] = [];
  for (let end = whole!.length; end > 0; end -= size) groups.unshift(whole!.slice(Math.max(0, end - size), end));
  return groups.join(separator) + rest.join("");
}
