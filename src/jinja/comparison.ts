/** Python's comparisons: `==`, `<` and `in`. */
import {
  Dict,
  isList,
  isNumber,
  itemsOf,
  iterate,
  Markup,
  numeric,
  Range,
  TemplateError,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Python's `==`. */
export function equals(left: Value, right: Value): boolean {
  if (left === right) return !Number.isNaN(left);
  if (isNumber(left) && isNumber(right)) {
    const [a, b] = [numeric(left), numeric(right)];
    return !(a < b) && !(a > b) && !Number.isNaN(a) && !Number.isNaN(b);
  }
  if (left instanceof Markup || right instanceof Markup) {
    const [a, b] = [left, right].map((side) => (side instanceof Markup ? side.text : side));
    return typeof a === "string" && a === b;
  }
  if (left instanceof Dict && right instanceof Dict) {
    return (
      left.size === right.size &&
      left.entries().every(([key, value]) => right.has(key) && equals(value, right.get(key)!))
    );
  }
  if (left instanceof Undefined) return right instanceof Undefined;
  if (left instanceof Range && right instanceof Range) {
    return equals(iterate(left), iterate(right));
  }
  if (isList(left) !== isList(right)) return false;
  const [a, b] = [itemsOf(left), itemsOf(right)];
  if (a === undefined || b === undefined) return false;
  return a.length === b.length && a.every((item, index) => equals(item, b[index]!));
}

/** Below 0, 0 or above 0, as Python orders values of one kind; NaN where neither is less. */
export function compare(left: Value, right: Value): number {
  if (isNumber(left) && isNumber(right)) {
    const [a, b] = [numeric(left), numeric(right)];
    return a < b ? -1 : a > b ? 1 : equals(a, b) ? 0 : Number.NaN;
  }
  const [leftText, rightText] = [left, right].map((side) => (side instanceof Markup ? side.text : side));
  if (typeof leftText === "string" && typeof rightText === "string") return compareTexts(leftText, rightText);
  if (isList(left) === isList(right)) {
    const [a, b] = [itemsOf(left), itemsOf(right)];
    if (a !== undefined && b !== undefined) {
      const differs = a.findIndex((item, index) => index >= b.length || !equals(item, b[index]!));
      if (differs < 0) return a.length - b.length;
      return differs >= b.length ? 1 : compare(a[differs]!, b[differs]!);
    }
  }
  throw new TemplateError(`expected values of one kind to compare, found ${typeName(left)} and ${typeName(right)}`);
}

/** By code points: JavaScript's own order is by UTF-16 units. */
export function compareTexts(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    if (left.charCodeAt(index) === right.charCodeAt(index)) continue;
    // Where the second halves of pairs differ, their first halves are equal, and the order of units is right.
    const [a, b] = [left.codePointAt(index)!, right.codePointAt(index)!];
    return a < b ? -1 : 1;
  }
  return left.length - right.length;
}

/** Python's `in`. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string" || container instanceof Markup) {
    const text = container instanceof Markup ? container.text : container;
    const part = item instanceof Markup ? item.text : item;
    if (typeof part !== "string") throw new TemplateError(`expected a text before in, found ${typeName(item)}`);
    return text.includes(part);
  }
  if (container instanceof Dict) return container.has(item);
  return iterate(container).some((member) => equals(member, item));
}
