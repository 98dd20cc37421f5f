/** What every template can call: `range`, `dict`, `namespace` and their like, and what transformers adds to them. */

import { bind, intOf, textOf } from "./arguments.ts";
import { toText } from "./repr.ts";
import { strftime } from "./strftime.ts";
import {
  type Call,
  Callable,
  Dict,
  iterate,
  Namespace,
  orElse,
  Range,
  TemplateError,
  TemplateRefusal,
  typeName,
  Unsupported,
  type Value,
} from "./values.ts";

/** Items of a range, as in Jinja's sandbox. */
const LONGEST_RANGE = 100_000;

export function globalsAt(date: string): ReadonlyMap<string, Value> {
  const functions: readonly (readonly [string, (given: Call) => Value])[] = [
    ["range", range],
    ["dict", (given) => new Dict(pairsOf(given, "dict"))],
    [
      "namespace",
      (given) => {
        return new Namespace(pairsOf(given, "namespace").map(([key, value]) => [textOf("namespace", key), value]));
      },
    ],
    ["cycler", cycler],
    ["joiner", joiner],
    ["self", refused("self")],
    ["lipsum", refused("lipsum")],
    [
      "raise_exception",
      (given) => {
        throw new TemplateRefusal(toText(bind("raise_exception", given, ["message"], 1)[0]!));
      },
    ],
    [
      "strftime_now",
      (given) => {
        return strftime(date, textOf("strftime_now", bind("strftime_now", given, ["format"], 1)[0]!));
      },
    ],
  ];
  return new Map(functions.map(([name, call]) => [name, new Callable(name, call)]));
}

/** What Python has and no template should need; printed, it is refused too. */
function refused(name: string): () => Value {
  return () => {
    throw new Unsupported(`${name} is not supported`);
  };
}

function range(given: Call): Value {
  const bounds = bind("range", given, ["start", "stop", "step"], 1).map((value) => intOf("range", value));
  const [first, second, step = 1] = bounds;
  if (step === 0) throw new TemplateError("range: expected a step other than 0");
  const [start, stop] = second === undefined ? [0, first!] : [first!, second];
  const result = new Range(BigInt(start), BigInt(stop), BigInt(step));
  if (result.length > LONGEST_RANGE) {
    throw new TemplateError(`range: expected at most ${LONGEST_RANGE} items, found ${result.length}`);
  }
  return result;
}

/** A dict or pairs, then arguments by name. */
function pairsOf({ positional, keyword }: Call, where: string): (readonly [Value, Value])[] {
  if (positional.length > 1) throw new TemplateError(`${where}: expected at most one argument without a name`);
  const [first] = positional;
  const pairs =
    first === undefined
      ? []
      : first instanceof Dict
        ? first.entries()
        : iterate(first).map((pair) => pairOf(pair, where));
  return [...pairs, ...keyword];
}

function pairOf(value: Value, where: string): readonly [Value, Value] {
  const [key, item, ...rest] = iterate(value);
  if (key === undefined || item === undefined || rest.length > 0) {
    throw new TemplateError(`${where}: expected pairs, found ${typeName(value)}`);
  }
  return [key, item];
}

function cycler({ positional }: Call): Value {
  if (positional.length === 0) throw new TemplateError("cycler: expected something to go round");
  let place = 0;
  const current = (): Value => positional[place]!;
  const next = new Callable("next", () => {
    const value = current();
    place = (place + 1) % positional.length;
    return value;
  });
  const reset = new Callable("reset", () => {
    place = 0;
    return null;
  });
  const attributes: readonly (readonly [string, () => Value])[] = [
    ["current", current],
    ["next", () => next],
    ["reset", () => reset],
  ];
  return new Callable(
    "cycler",
    () => {
      throw new TemplateError("a cycler is not called; it has next");
    },
    new Map(attributes),
  );
}

function joiner(given: Call): Value {
  const [separator] = bind("joiner", given, ["sep"]);
  let isFirst = true;
  return new Callable("joiner", () => {
    if (!isFirst) return orElse(separator, ", ");
    isFirst = false;
    return "";
  });
}
