/** What can stand behind `is`. */
import { bind, textOf } from "./arguments.ts";
import { arithmetic } from "./arithmetic.ts";
import { compare, contains, equals } from "./comparison.ts";
import { isLower, isUpper } from "./letters.ts";
import { toText } from "./repr.ts";
import {
  type Call,
  Callable,
  Dict,
  isIterable,
  isNumber,
  itemsOf,
  Markup,
  Range,
  Undefined,
  Unsupported,
  type Value,
} from "./values.ts";

export type Test = (value: Value, given: Call, where: string) => boolean;

function plain(test: (value: Value) => boolean): Test {
  return (value, given, where) => {
    bind(where, given, []);
    return test(value);
  };
}

function withOther(test: (value: Value, other: Value) => boolean): Test {
  return (value, given, where) => test(value, bind(where, given, ["other"], 1)[0]!);
}

function isRemainder(divisor: Value, remainder: bigint): Test {
  return plain((value) => equals(arithmetic("%", value, divisor), remainder));
}

const COMPARISONS: readonly (readonly [readonly string[], Test])[] = [
  [["eq", "==", "equalto"], withOther(equals)],
  [["ne", "!="], withOther((value, other) => !equals(value, other))],
  [["lt", "<", "lessthan"], withOther((value, other) => compare(value, other) < 0)],
  [["le", "<="], withOther((value, other) => compare(value, other) <= 0)],
  [["gt", ">", "greaterthan"], withOther((value, other) => compare(value, other) > 0)],
  [["ge", ">="], withOther((value, other) => compare(value, other) >= 0)],
];

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ["defined", plain((value) => !(value instanceof Undefined))],
  ["undefined", plain((value) => value instanceof Undefined)],
  ["none", plain((value) => value === null)],
  ["boolean", plain((value) => typeof value === "boolean")],
  ["true", plain((value) => value === true)],
  ["false", plain((value) => value === false)],
  ["integer", plain((value) => typeof value === "bigint")],
  ["float", plain((value) => typeof value === "number")],
  ["number", plain(isNumber)],
  ["string", plain((value) => typeof value === "string" || value instanceof Markup)],
  ["mapping", plain((value) => value instanceof Dict)],
  ["sequence", plain(isSequence)],
  ["iterable", plain(isIterable)],
  ["callable", plain((value) => value instanceof Callable || value instanceof Undefined)],
  ["lower", plain((value) => isLower(toText(value)))],
  ["upper", plain((value) => isUpper(toText(value)))],
  ["even", isRemainder(2n, 0n)],
  ["odd", isRemainder(2n, 1n)],
  ["escaped", plain((value) => value instanceof Markup)],
  ["divisibleby", withOther((value, other) => equals(arithmetic("%", value, other), 0n))],
  ["sameas", withOther(isSame)],
  ["in", withOther((value, other) => contains(other, value))],
  ...COMPARISONS.flatMap(([names, test]) => names.map((name) => [name, test] as const)),
]);

export function testNamed(name: string): Test {
  const test = TESTS.get(name);
  if (test === undefined) throw new Unsupported(`there is no test named ${name}`);
  return test;
}

/** What has a length and members: texts and dicts too. */
function isSequence(value: Value): boolean {
  return (
    typeof value === "string" ||
    value instanceof Markup ||
    value instanceof Dict ||
    value instanceof Range ||
    value instanceof Undefined ||
    itemsOf(value) !== undefined
  );
}

/** Python's `is`, where it does not depend on how values are stored. */
function isSame(value: Value, other: Value): boolean {
  if (value === null || other === null || typeof value === "boolean" || typeof other === "boolean")
    return value === other;
  if (typeof value === "object" && typeof other === "object") return value === other;
  if (typeof value !== typeof other) return false;
  throw new Unsupported("sameas of texts and numbers depends on how Python stores them; compare them with ==");
}

/** A test as a filter such as `select` is given it: by name, with arguments; whether the value is true without one. */
export function testBy(
  name: Value | undefined,
  given: Call,
  where: string,
  isTrue: (value: Value) => boolean,
): (value: Value) => boolean {
  if (name === undefined) return isTrue;
  const test = testNamed(textOf(where, name));
  return (value) => test(value, given, where);
}
