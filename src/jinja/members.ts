/**
 * What `object.name` and `object[key]` are. As in Jinja, the first asks for a method before an entry, the second the
 * other way round, and what is not there is undefined. What Python has and this program has not is an error by name,
 * never undefined.
 */
import { bind, optionalInt } from "./arguments.ts";
import { equals } from "./comparison.ts";
import { formatBraces, type Members } from "./format-braces.ts";
import { OTHER_TEXT_METHODS, TEXT_METHODS } from "./text-methods.ts";
import {
  type Call,
  Callable,
  Dict,
  isInteger,
  isList,
  itemsOf,
  Loop,
  Markup,
  Namespace,
  numeric,
  orElse,
  Range,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  Unsupported,
  type Value,
  View,
} from "./values.ts";

/** `[start:stop:step]`. */
export interface Slice {
  readonly start: Value;
  readonly stop: Value;
  readonly step: Value;
}

type DictMethod = (dict: Dict, given: Call, where: string) => Value;
type SequenceMethod = (items: readonly Value[], given: Call, where: string) => Value;

const DICT_METHODS: ReadonlyMap<string, DictMethod> = new Map<string, DictMethod>([
  [
    "items",
    (dict, given, where) =>
      view(
        "dict_items",
        dict.entries().map((entry) => new Tuple(entry)),
        given,
        where,
      ),
  ],
  ["keys", (dict, given, where) => view("dict_keys", dict.keys(), given, where)],
  ["values", (dict, given, where) => view("dict_values", dict.values(), given, where)],
  [
    "copy",
    (dict, given, where) => {
      bind(where, given, []);
      return new Dict(dict.entries());
    },
  ],
  [
    "get",
    (dict, given, where) => {
      const [key, otherwise] = bind(where, given, ["key", "default"], 1);
      return orElse(dict.get(key!), orElse(otherwise, null));
    },
  ],
]);

const SEQUENCE_METHODS: ReadonlyMap<string, SequenceMethod> = new Map<string, SequenceMethod>([
  [
    "count",
    (items, given, where) => {
      const [wanted] = bind(where, given, ["value"], 1);
      return BigInt(items.filter((item) => equals(item, wanted!)).length);
    },
  ],
  [
    "index",
    (items, given, where) => {
      const [wanted, start, stop] = bind(where, given, ["value", "start", "stop"], 1);
      const [first, last] = [optionalInt(where, start) ?? 0, optionalInt(where, stop) ?? items.length];
      const place = items.findIndex((item, index) => index >= fromEnd(first, items.length) && equals(item, wanted!));
      if (place < 0 || place >= fromEnd(last, items.length))
        throw new TemplateError(`${where}: the value is not there`);
      return BigInt(place);
    },
  ],
]);

/** Methods that change what they belong to: in the sandbox of transformers they are undefined. */
const CHANGING: ReadonlySet<string> = new Set(
  "append clear extend insert pop popitem remove reverse setdefault sort update".split(" "),
);

/** What Python has besides, by type. */
const UNSUPPORTED: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["dict", new Set(["fromkeys"])],
  ["list", new Set(["copy"])],
  ["str", OTHER_TEXT_METHODS],
  [
    "int",
    new Set(
      "as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag numerator real to_bytes".split(" "),
    ),
  ],
  ["float", new Set("as_integer_ratio conjugate fromhex hex imag is_integer real".split(" "))],
  ["range", new Set("count index start step stop".split(" "))],
]);

export const MEMBERS: Members = { attribute, item };

/** `object.name`. */
export function attribute(object: Value, name: string): Value {
  const method = own(object, name);
  return method !== undefined ? method : orElse(entry(object, name), missing(object, name));
}

/** `object[key]`. */
export function item(object: Value, key: Value): Value {
  const found = entry(object, key);
  if (found !== undefined) return found;
  return orElse(typeof key === "string" ? own(object, key) : undefined, missing(object, key));
}

/** What Python's own attribute of that name is: a method, or what a namespace or a loop holds. */
function own(object: Value, name: string): Value | undefined {
  if (object instanceof Undefined) throw new TemplateError(`${object.what} is not defined, so it has no ${name}`);
  if (name.startsWith("__") && name.endsWith("__")) throw new Unsupported(`${name} is not supported`);
  if (object instanceof Namespace) return object.attributes.get(name);
  if (object instanceof Loop) return object.attribute(name);
  if (object instanceof Callable) return object.attributes.get(name)?.();
  if (object instanceof Markup) throw new Unsupported(`${name} of a text that was marked as safe is not supported`);
  const method = methodOf(object, name);
  if (method !== undefined) return new Callable(name, method);
  const kind = typeof object === "boolean" ? "int" : typeName(object);
  if ((isList(object) || object instanceof Dict) && CHANGING.has(name)) return missing(object, name);
  if (UNSUPPORTED.get(kind)?.has(name) === true) throw new Unsupported(`${name} of a ${kind} is not supported`);
  return undefined;
}

function methodOf(object: Value, name: string): ((given: Call) => Value) | undefined {
  if (typeof object === "string") {
    if (name === "format") return (given) => formatBraces(object, given, MEMBERS);
    const method = TEXT_METHODS.get(name);
    return method === undefined ? undefined : (given) => method(object, given, name);
  }
  if (object instanceof Dict) {
    const method = DICT_METHODS.get(name);
    return method === undefined ? undefined : (given) => method(object, given, name);
  }
  const items = itemsOf(object);
  const method = items === undefined ? undefined : SEQUENCE_METHODS.get(name);
  return method === undefined ? undefined : (given) => method(items!, given, name);
}

/** What stands under the key, or nothing. */
function entry(object: Value, key: Value): Value | undefined {
  if (object instanceof Undefined) throw new TemplateError(`${object.what} is not defined, so it has no members`);
  if (object instanceof Dict) {
    const isKey = key === null || typeof key !== "object" || key instanceof Tuple || key instanceof Markup;
    return isKey ? object.get(key) : undefined;
  }
  if (!isInteger(key)) return undefined;
  const position = Number(numeric(key));
  if (typeof object === "string") return characterAt(object, position);
  if (object instanceof Range) {
    const index = fromEnd(position, object.length);
    return index >= 0 && index < object.length ? object.at(index) : undefined;
  }
  return itemsOf(object)?.at(position);
}

function characterAt(text: string, position: number): string | undefined {
  if (!/[\ud800-\udfff]/.test(text)) return text.at(position);
  return Array.from(text).at(position);
}

function missing(object: Value, key: Value): Undefined {
  const name = typeof key === "string" ? key : typeName(key);
  return new Undefined(`${name} of a ${typeName(object)}`);
}

/** `object[start:stop:step]` of a text, a list, a tuple or a range. */
export function slice(object: Value, { start, stop, step }: Slice): Value {
  if (object instanceof Undefined) throw new TemplateError(`${object.what} is not defined, so it has no members`);
  const items = typeof object === "string" ? sliceable(object) : itemsOf(object);
  const length = object instanceof Range ? object.length : items?.length;
  if (length === undefined) throw new TemplateError(`expected a text or a list to slice, found ${typeName(object)}`);
  const by = bound(step) ?? 1;
  if (by === 0) throw new TemplateError("expected a step other than 0 in a slice");
  const place = (value: Value, otherwise: number): number => {
    const position = bound(value);
    if (position === undefined) return otherwise;
    const counted = fromEnd(position, length);
    return by > 0 ? Math.min(Math.max(counted, 0), length) : Math.min(Math.max(counted, -1), length - 1);
  };
  const [first, end] = by > 0 ? [place(start, 0), place(stop, length)] : [place(start, length - 1), place(stop, -1)];
  if (object instanceof Range) return new Range(object.at(first), object.at(end), object.step * BigInt(by));
  if (by === 1 && typeof items === "string") return items.slice(first, Math.max(first, end));
  const taken: Value[] = [];
  for (let index = first; by > 0 ? index < end : index > end; index += by) taken.push(items![index]!);
  if (typeof object === "string") return taken.join("");
  return isList(object) ? taken : new Tuple(taken);
}

/** A text without pairs of units is its own list of characters. */
function sliceable(text: string): string | readonly string[] {
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;
}

function bound(value: Value): number | undefined {
  if (value === null) return undefined;
  if (!isInteger(value)) throw new TemplateError(`expected ints in a slice, found ${typeName(value)}`);
  return Number(numeric(value));
}

function fromEnd(position: number, length: number): number {
  return position < 0 ? position + length : position;
}

function view(kind: string, items: readonly Value[], given: Call, where: string): View {
  bind(where, given, []);
  return new View(kind, items);
}
