/**
 * Python's values as templates have them. An int is a bigint and a float a number, so that `1` and `1.0` stay apart; a
 * str is a string whose characters are code points; a list is an array, which no template can change; None is null.
 */

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly Value[]
  | Tuple
  | Dict
  | Range
  | View
  | Once
  | Undefined
  | Callable
  | Namespace
  | Loop
  | Markup;

/** The template does not take this conversation: it says so itself, or Python would fail there too. */
export class TemplateRefusal extends Error {}

/** What Python would fail at, such as a member of what is not there. */
export class TemplateError extends TemplateRefusal {}

/** What Python can and this program cannot. It speaks of the template, not of the conversation. */
export class Unsupported extends Error {}

export class Tuple {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** Keys are compared as Python does, 1 and 1.0 and true are one; they keep the order in which they were put in. */
export class Dict {
  readonly #entries = new Map<string, readonly [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) {
      const hash = hashOf(key);
      this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value]);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }

  has(key: Value): boolean {
    return this.#entries.has(hashOf(key));
  }

  keys(): Value[] {
    return [...this.#entries.values()].map(([key]) => key);
  }

  values(): Value[] {
    return [...this.#entries.values()].map(([, value]) => value);
  }

  entries(): (readonly [Value, Value])[] {
    return [...this.#entries.values()];
  }
}

/** `range(start, stop, step)`, which prints as it was made. */
export class Range {
  readonly start: bigint;
  readonly stop: bigint;
  readonly step: bigint;
  readonly length: number;

  constructor(start: bigint, stop: bigint, step: bigint) {
    this.start = start;
    this.stop = stop;
    this.step = step;
    const distance = step > 0n ? stop - start : start - stop;
    const stride = step > 0n ? step : -step;
    this.length = distance <= 0n ? 0 : Number((distance + stride - 1n) / stride);
  }

  at(index: number): bigint {
    return this.start + BigInt(index) * this.step;
  }
}

/** What `items`, `keys` and `values` of a dict give: it can be gone through and counted, and has no places. */
export class View {
  /** As Python prints it: `dict_items`. */
  readonly kind: string;
  readonly items: readonly Value[];

  constructor(kind: string, items: readonly Value[]) {
    this.kind = kind;
    this.items = items;
  }
}

/** What `map`, `select` and their like give: it can be gone through once, is always true and has no length. */
export class Once {
  /** Whose result it is, for messages. */
  readonly origin: string;
  readonly #items: readonly Value[];
  #next = 0;

  constructor(items: readonly Value[], origin: string) {
    this.#items = items;
    this.origin = origin;
  }

  /** All that are left. */
  take(): readonly Value[] {
    const items = this.#items.slice(this.#next);
    this.#next = this.#items.length;
    return items;
  }

  /** The next one, or nothing at the end. */
  next(): Value | undefined {
    return this.#items[this.#next++];
  }
}

/** What is not there: it prints as nothing, and whoever asks it for more fails. */
export class Undefined {
  /** A part of a sentence: "messages[0].name". */
  readonly what: string;

  constructor(what: string) {
    this.what = what;
  }
}

/** Arguments of a call. */
export interface Call {
  readonly positional: readonly Value[];
  readonly keyword: ReadonlyMap<string, Value>;
}

export class Callable {
  readonly name: string;
  readonly call: (given: Call) => Value;
  /** What templates can read of it, such as a cycler's `current`. */
  readonly attributes: ReadonlyMap<string, () => Value>;

  constructor(name: string, call: (given: Call) => Value, attributes: ReadonlyMap<string, () => Value> = new Map()) {
    this.name = name;
    this.call = call;
    this.attributes = attributes;
  }
}

/** `namespace(...)`: the one thing that templates change. */
export class Namespace {
  readonly attributes: Map<string, Value>;

  constructor(attributes: Iterable<readonly [string, Value]>) {
    this.attributes = new Map(attributes);
  }
}

/** `loop` inside a loop. */
export class Loop {
  readonly attribute: (name: string) => Value | undefined;
  /** Of a recursive loop: the loop's text over what is given. */
  readonly again: ((items: Value) => string) | undefined;

  constructor(attribute: Loop["attribute"], again: Loop["again"]) {
    this.attribute = attribute;
    this.again = again;
  }
}

/** Text that was marked as safe or escaped. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The value, or another one where there is none; None is one. */
export function orElse(value: Value | undefined, otherwise: Value): Value {
  return value === undefined ? otherwise : value;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** A list or a tuple's items, or nothing. */
export function itemsOf(value: Value): readonly Value[] | undefined {
  return isList(value) ? value : value instanceof Tuple ? value.items : undefined;
}

export function isInteger(value: Value): value is bigint | boolean {
  return typeof value === "bigint" || typeof value === "boolean";
}

export function isNumber(value: Value): value is bigint | boolean | number {
  return isInteger(value) || typeof value === "number";
}

/** The name of the value's type in Python. */
export function typeName(value: Value): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return "float";
  if (typeof value === "string") return "str";
  if (isList(value)) return "list";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Dict) return "dict";
  if (value instanceof Range) return "range";
  if (value instanceof View) return value.kind;
  if (value instanceof Once) return `the result of ${value.origin}`;
  if (value instanceof Undefined) return `${value.what}, which is not defined`;
  if (value instanceof Namespace) return "namespace";
  if (value instanceof Loop) return "loop";
  return value instanceof Markup ? "Markup" : `the function ${value.name}`;
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === "boolean") return value;
  if (typeof value === "bigint") return value !== 0n;
  if (typeof value === "number") return value !== 0;
  if (typeof value === "string") return value !== "";
  if (value instanceof Markup) return value.text !== "";
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Range) return value.length > 0;
  if (value instanceof View) return value.items.length > 0;
  const items = itemsOf(value);
  return items === undefined || items.length > 0;
}

/** What a loop goes through: characters of a text, keys of a dict, nothing of what is not there. */
export function iterate(value: Value): readonly Value[] {
  const items = itemsOf(value);
  if (items !== undefined) return items;
  if (typeof value === "string") return Array.from(value);
  if (value instanceof Dict) return value.keys();
  if (value instanceof Range) return Array.from({ length: value.length }, (_, index) => value.at(index));
  if (value instanceof View) return value.items;
  if (value instanceof Once) return value.take();
  if (value instanceof Undefined) return [];
  if (value instanceof Markup) return Array.from(value.text);
  throw new TemplateError(`expected something to go through, found ${typeName(value)}`);
}

export function isIterable(value: Value): boolean {
  return (
    typeof value === "string" ||
    itemsOf(value) !== undefined ||
    value instanceof Dict ||
    value instanceof Range ||
    value instanceof View ||
    value instanceof Once ||
    value instanceof Undefined ||
    value instanceof Markup
  );
}

/** Characters, that is code points, of a text. */
export function lengthOfText(text: string): number {
  let length = text.length;
  for (let index = 0; index < text.length - 1; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0xd800 && unit < 0xdc00) length -= 1;
  }
  return length;
}

export function lengthOf(value: Value): number {
  const items = itemsOf(value);
  if (items !== undefined) return items.length;
  if (typeof value === "string") return lengthOfText(value);
  if (value instanceof Markup) return lengthOfText(value.text);
  if (value instanceof Dict) return value.size;
  if (value instanceof Range) return value.length;
  if (value instanceof View) return value.items.length;
  if (value instanceof Undefined) return 0;
  throw new TemplateError(`expected something that has a length, found ${typeName(value)}`);
}

/** Equal keys have equal hashes, and only they. */
export function hashOf(key: Value): string {
  if (typeof key === "string") return `s${key}`;
  if (key instanceof Markup) return `s${key.text}`;
  if (key === null) return "none";
  if (isNumber(key)) {
    const number = typeof key === "number" ? key : BigInt(key);
    return typeof number === "number" && Number.isInteger(number) ? `n${BigInt(number)}` : `n${number}`;
  }
  if (key instanceof Undefined) return "undefined";
  if (key instanceof Range) return `r${key.start},${key.stop},${key.step}`;
  if (key instanceof Tuple) return `t${key.items.map((item) => JSON.stringify(hashOf(item))).join()}`;
  throw new TemplateError(`expected a key of a dict, found ${typeName(key)}`);
}

export function numeric(value: bigint | boolean | number): bigint | number {
  return typeof value === "boolean" ? BigInt(value) : value;
}
