/**
 * Python's operators. Division of ints gives a float, `//` and `%` round down, so that a remainder has the divisor's
 * sign; texts and lists are joined by `+` and repeated by `*`; `%` of a text fills it in.
 */
import { formatPercent } from "./format-percent.ts";
import type { Arithmetic } from "./syntax.ts";
import {
  isInteger,
  isList,
  isNumber,
  itemsOf,
  Markup,
  numeric,
  TemplateError,
  Tuple,
  typeName,
  Unsupported,
  type Value,
} from "./values.ts";

/** Characters or items that a repetition may make, and bits of an int: more is a mistake or an attack. */
const LARGEST = 1 << 24;

export function arithmetic(operator: Arithmetic, left: Value, right: Value): Value {
  if (isNumber(left) && isNumber(right)) {
    const [a, b] = [numeric(left), numeric(right)];
    return typeof a === "bigint" && typeof b === "bigint"
      ? ofInts(operator, a, b)
      : ofFloats(operator, Number(a), Number(b));
  }
  if (operator === "%" && typeof left === "string") return formatPercent(left, right);
  if (operator === "+") {
    const sum = joined(left, right);
    if (sum !== undefined) return sum;
  }
  if (operator === "*") {
    if (isInteger(right)) return repeated(left, numeric(right) as bigint);
    if (isInteger(left)) return repeated(right, numeric(left) as bigint);
  }
  throw new TemplateError(`expected values that ${operator} can join, found ${typeName(left)} and ${typeName(right)}`);
}

export function signed(sign: "+" | "-", value: Value): Value {
  if (!isNumber(value)) throw new TemplateError(`expected a number after ${sign}, found ${typeName(value)}`);
  const number = numeric(value);
  return sign === "-" ? -number : number;
}

function ofInts(operator: Arithmetic, a: bigint, b: bigint): Value {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return dividedInts(a, nonZero(b));
    case "//":
      return (a - floorRemainder(a, nonZero(b))) / b;
    case "%":
      return floorRemainder(a, nonZero(b));
    case "**":
      if (b < 0n) return dividedInts(1n, nonZero(ofInts("**", a, -b) as bigint));
      if (BigInt(a.toString(2).length) * b > LARGEST) throw new TemplateError(`${a} ** ${b} is too large`);
      return a ** b;
  }
}

/** The quotient rounded once, also where the ints are no floats. */
function dividedInts(a: bigint, b: bigint): number {
  const [x, y] = [Number(a), Number(b)];
  if (Number.isSafeInteger(x) && Number.isSafeInteger(y)) return x / y;
  const [dividend, divisor] = [a < 0n ? -a : a, b < 0n ? -b : b];
  const shift = Math.max(0, 66 + divisor.toString(2).length - dividend.toString(2).length);
  if (shift > 1000) throw new Unsupported("the quotient of such large ints is not supported");
  const scaled = dividend << BigInt(shift);
  // What is cut off makes the last of more than 64 bits 1, so that the rounding to 53 bits sees it.
  const bits = (scaled / divisor) | (scaled % divisor === 0n ? 0n : 1n);
  return (a < 0n === b < 0n ? 1 : -1) * (Number(bits) / 2 ** shift);
}

function floorRemainder(a: bigint, b: bigint): bigint {
  const remainder = a % b;
  return remainder !== 0n && remainder < 0n !== b < 0n ? remainder + b : remainder;
}

function ofFloats(operator: Arithmetic, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / nonZero(b);
    case "//":
      return floorQuotient(a, nonZero(b));
    case "%":
      return floatRemainder(a, nonZero(b));
    case "**":
      return powerOfFloats(a, b);
  }
}

/** JavaScript's powers may be wrong in the last digit, so only those are given that ints give too. */
function powerOfFloats(a: number, b: number): number {
  if (Number.isSafeInteger(a) && Number.isSafeInteger(b)) return Number(ofInts("**", BigInt(a), BigInt(b)));
  throw new Unsupported(`the power ${a} ** ${b} is not supported`);
}

function floatRemainder(a: number, b: number): number {
  const remainder = a % b;
  if (remainder === 0) return b < 0 ? -0 : 0;
  return remainder < 0 !== b < 0 ? remainder + b : remainder;
}

function floorQuotient(a: number, b: number): number {
  const exact = (a - floatRemainder(a, b)) / b;
  if (exact === 0) return a / b < 0 || Object.is(a / b, -0) ? -0 : 0;
  const floor = Math.floor(exact);
  return exact - floor > 0.5 ? floor + 1 : floor;
}

function nonZero<T extends bigint | number>(value: T): T {
  if (Number(value) === 0) throw new TemplateError("division by zero");
  return value;
}

function joined(left: Value, right: Value): Value | undefined {
  if (typeof left === "string" && typeof right === "string") return left + right;
  if (isText(left) && isText(right)) return new Markup(escapedText(left) + escapedText(right));
  if (isList(left) && isList(right)) return [...left, ...right];
  if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
  return undefined;
}

function isText(value: Value): value is string | Markup {
  return typeof value === "string" || value instanceof Markup;
}

/** What a text becomes beside one that is marked as safe. */
export function escapedText(value: string | Markup): string {
  if (value instanceof Markup) return value.text;
  return value
    .replaceAll("&", "&amp;")
    .replaceAll(">", "&gt;")
    .replaceAll("<", "&lt;")
    .replaceAll("'", "&#39;")
    .replaceAll('"', "&#34;");
}

function repeated(value: Value, times: bigint): Value {
  const count = times < 0n ? 0 : Number(times);
  const items = itemsOf(value);
  const length = typeof value === "string" ? value.length : (items?.length ?? 0);
  if (length * count > LARGEST) throw new TemplateError(`a repetition makes more than ${LARGEST} characters or items`);
  if (typeof value === "string") return value.repeat(count);
  if (items === undefined) throw new TemplateError(`expected a text or a list to repeat, found ${typeName(value)}`);
  const all = Array.from({ length: count }, () => items).flat();
  return isList(value) ? all : new Tuple(all);
}
