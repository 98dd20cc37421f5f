/** Filters that go through lists: Jinja's `map`, `select`, `sort` and their like. */
import { bind, intOf, textOf } from "./arguments.ts";
import { arithmetic } from "./arithmetic.ts";
import { compare, equals } from "./comparison.ts";
import type { Filter, Filters } from "./filter.ts";
import { item as memberOf } from "./members.ts";
import { toText } from "./repr.ts";
import { testBy } from "./tests.ts";
import {
  type Call,
  Dict,
  hashOf,
  isTrue,
  iterate,
  Once,
  orElse,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

export const LIST_FILTERS: readonly (readonly [string, Filter])[] = [
  [
    "attr",
    (value, given, where) => {
      const name = textOf(where, bind(where, given, ["name"], 1)[0]!);
      if (value instanceof Dict) return new Undefined(`${name} of a dict`);
      return memberOf(value, name);
    },
  ],
  [
    "batch",
    (value, given, where) => {
      const [size, fill] = bind(where, given, ["linecount", "fill_with"], 1);
      return new Once(chunks(iterate(value), intOf(where, size!), fill), "batch");
    },
  ],
  ["dictsort", dictSort],
  [
    "first",
    (value, given, where) => {
      bind(where, given, []);
      if (value instanceof Once) return orElse(value.next(), new Undefined("the first of nothing"));
      return orElse(iterate(value)[0], new Undefined("the first of nothing"));
    },
  ],
  [
    "last",
    (value, given, where) => {
      bind(where, given, []);
      if (value instanceof Once)
        throw new TemplateError(`last: expected a list, found ${typeName(value)}; make it one by list`);
      return orElse(iterate(value).at(-1), new Undefined("the last of nothing"));
    },
  ],
  ["groupby", groupBy],
  ["join", join],
  [
    "list",
    (value, given, where) => {
      bind(where, given, []);
      return iterate(value);
    },
  ],
  ["map", map],
  ["max", (value, given, where) => extreme(value, given, where, 1)],
  ["min", (value, given, where) => extreme(value, given, where, -1)],
  [
    "reverse",
    (value, given, where) => {
      bind(where, given, []);
      if (typeof value === "string") return Array.from(value).reverse().join("");
      return new Once([...iterate(value)].reverse(), "reverse");
    },
  ],
  ["select", (value, given, where) => chosen(value, given, where, true)],
  ["reject", (value, given, where) => chosen(value, given, where, false)],
  ["selectattr", (value, given, where) => chosenByAttribute(value, given, where, true)],
  ["rejectattr", (value, given, where) => chosenByAttribute(value, given, where, false)],
  ["slice", slices],
  [
    "sort",
    (value, given, where) => {
      const [reverse, isCaseSensitive, attribute] = bind(where, given, ["reverse", "case_sensitive", "attribute"]);
      const key = sortKey(attribute, isCaseSensitive, where);
      return sorted(iterate(value), key, isSet(reverse));
    },
  ],
  [
    "sum",
    (value, given, where) => {
      const [attribute, start] = bind(where, given, ["attribute", "start"]);
      const get = getter(attribute, where);
      return iterate(value).reduce((sum, one) => arithmetic("+", sum, get(one)), orElse(start, 0n));
    },
  ],
  [
    "unique",
    (value, given, where) => {
      const [isCaseSensitive, attribute] = bind(where, given, ["case_sensitive", "attribute"]);
      const get = getter(attribute, where);
      const adapt = isSet(isCaseSensitive) ? (one: Value): Value => one : lowered;
      const seen = new Set<string>();
      const kept = iterate(value).filter((one) => {
        const hash = hashOf(adapt(get(one)));
        return !seen.has(hash) && seen.add(hash);
      });
      return new Once(kept, "unique");
    },
  ],
];

function isSet(flag: Value | undefined): boolean {
  return flag !== undefined && isTrue(flag);
}

/** Whatever is false has no items for `map`, `select` and their like: None and 0 too. */
function itemsToFilter(value: Value): readonly Value[] {
  return isTrue(value) ? iterate(value) : [];
}

function lowered(value: Value): Value {
  return typeof value === "string" ? value.toLowerCase() : value;
}

/** `a.b.0` of an item, by its parts; the item itself where nothing is asked for. */
function getter(attribute: Value | undefined, where: string): (value: Value) => Value {
  if (attribute === undefined || attribute === null) return (value) => value;
  if (typeof attribute === "bigint") return (value) => memberOf(value, attribute);
  const parts = textOf(where, attribute)
    .split(".")
    .map((part): Value => (/^\d+$/.test(part) ? BigInt(part) : part));
  return (value) => parts.reduce<Value>((object, part) => memberOf(object, part), value);
}

/** What items are ordered by: several attributes may be named, with commas. */
function sortKey(
  attribute: Value | undefined,
  isCaseSensitive: Value | undefined,
  where: string,
): (value: Value) => readonly Value[] {
  const names = typeof attribute === "string" ? attribute.split(",") : [attribute];
  const getters = names.map((name) => getter(name, where));
  const adapt = isSet(isCaseSensitive) ? (value: Value): Value => value : lowered;
  return (value) => getters.map((get) => adapt(get(value)));
}

/** Stable, in both directions. */
function sorted(items: readonly Value[], key: (value: Value) => Value, isReversed: boolean): readonly Value[] {
  const keyed = items.map((one) => [key(one), one] as const);
  keyed.sort(([a], [b]) => (isReversed ? -1 : 1) * compare(a, b));
  return keyed.map(([, one]) => one);
}

function dictSort(value: Value, given: Call, where: string): Value {
  const [isCaseSensitive, by, reverse] = bind(where, given, ["case_sensitive", "by", "reverse"]);
  if (!(value instanceof Dict)) throw new TemplateError(`dictsort: expected a dict, found ${typeName(value)}`);
  const side = textOf(where, by) ?? "key";
  if (side !== "key" && side !== "value") throw new TemplateError("dictsort: expected by to be key or value");
  const adapt = isSet(isCaseSensitive) ? (one: Value): Value => one : lowered;
  const entries = value.entries().map((entry) => new Tuple(entry));
  return sorted(entries, (one) => adapt((one as Tuple).items[side === "key" ? 0 : 1]!), isSet(reverse));
}

function groupBy(value: Value, given: Call, where: string): Value {
  const [attribute, byDefault, isCaseSensitive] = bind(where, given, ["attribute", "default", "case_sensitive"], 1);
  const get = getter(attribute, where);
  const keyOf = (one: Value): Value => {
    const found = get(one);
    return found instanceof Undefined && byDefault !== undefined ? byDefault : found;
  };
  const adapt = isSet(isCaseSensitive) ? (one: Value): Value => one : lowered;
  const groups: { readonly key: Value; readonly folded: Value; readonly items: Value[] }[] = [];
  for (const one of sorted(iterate(value), (each) => adapt(keyOf(each)), false)) {
    const key = keyOf(one);
    const group = groups.at(-1);
    if (group !== undefined && equals(group.folded, adapt(key))) group.items.push(one);
    else groups.push({ key, folded: adapt(key), items: [one] });
  }
  return groups.map(({ key, items }) => new Tuple([key, items]));
}

function join(value: Value, given: Call, where: string): Value {
  const [separator, attribute] = bind(where, given, ["d", "attribute"]);
  const get = getter(attribute, where);
  return iterate(value)
    .map((one) => toText(get(one)))
    .join(separator === undefined ? "" : toText(separator));
}

function map(value: Value, given: Call, where: string, filters: Filters): Value {
  const [first, ...rest] = given.positional;
  if (first === undefined) {
    const [attribute, byDefault] = bind(where, given, ["attribute", "default"], 1);
    const get = getter(attribute, where);
    const items = itemsToFilter(value).map((one) => {
      const found = get(one);
      return found instanceof Undefined && byDefault !== undefined ? byDefault : found;
    });
    return new Once(items, "map");
  }
  const name = textOf(where, first);
  return new Once(
    itemsToFilter(value).map((one) => filters(name, one, { positional: rest, keyword: given.keyword })),
    "map",
  );
}

function chosen(value: Value, given: Call, where: string, wanted: boolean): Value {
  const [name, ...rest] = given.positional;
  const test = testBy(name, { positional: rest, keyword: given.keyword }, where, isTrue);
  return new Once(
    itemsToFilter(value).filter((one) => test(one) === wanted),
    wanted ? "select" : "reject",
  );
}

function chosenByAttribute(value: Value, given: Call, where: string, wanted: boolean): Value {
  const [attribute, name, ...rest] = given.positional;
  if (attribute === undefined) throw new TemplateError(`${where}: expected the name of an attribute`);
  const get = getter(attribute, where);
  const test = testBy(name, { positional: rest, keyword: given.keyword }, where, isTrue);
  return new Once(
    itemsToFilter(value).filter((one) => test(get(one)) === wanted),
    wanted ? "selectattr" : "rejectattr",
  );
}

/** The first of the smallest or largest, texts compared without their case. */
function extreme(value: Value, given: Call, where: string, sign: 1 | -1): Value {
  const [isCaseSensitive, attribute] = bind(where, given, ["case_sensitive", "attribute"]);
  const adapt = isSet(isCaseSensitive) ? (one: Value): Value => one : lowered;
  const get = getter(attribute, where);
  let best: Value | undefined;
  for (const one of iterate(value)) {
    if (best === undefined || sign * compare(adapt(get(one)), adapt(get(best))) > 0) best = one;
  }
  return orElse(best, new Undefined(`the ${sign > 0 ? "largest" : "smallest"} of nothing`));
}

function chunks(items: readonly Value[], size: number, fill: Value | undefined): readonly Value[] {
  if (size < 1) throw new TemplateError("batch: expected a size of at least 1");
  const rows: Value[][] = [];
  for (let first = 0; first < items.length; first += size) rows.push(items.slice(first, first + size));
  const last = rows.at(-1);
  if (fill !== undefined && fill !== null) while (last !== undefined && last.length < size) last.push(fill);
  return rows;
}

/** So many columns; the first ones have one item more where they do not come out even. */
function slices(value: Value, given: Call, where: string): Value {
  const [count, fill] = bind(where, given, ["slices", "fill_with"], 1);
  const columns = intOf(where, count!);
  if (columns < 1 || columns > 1 << 16) throw new TemplateError("slice: expected a number of columns from 1");
  const items = iterate(value);
  const [size, more] = [Math.floor(items.length / columns), items.length % columns];
  const result = Array.from({ length: columns }, (_, column): Value[] => {
    const first = column * size + Math.min(column, more);
    const part = items.slice(first, first + size + (column < more ? 1 : 0));
    return fill !== undefined && fill !== null && column >= more ? [...part, fill] : part;
  });
  return new Once(result, "slice");
}
