/**
 * What `loop` tells inside a loop. Items are taken one by one, because a loop's condition may ask for what its body has
 * set; only who asks for the next item, the last one or the length takes more.
 */
import { type Table, tableOf } from "../table.ts";
import { equals } from "./comparison.ts";
import { Callable, Loop, orElse, TemplateError, Tuple, Undefined, type Value } from "./values.ts";

export class LoopItems {
  readonly #source: Iterator<Value>;
  readonly #ahead: Value[] = [];
  #isDone = false;
  #place = -1;
  #previous: Value | undefined;
  #current: Value | undefined;
  #changedFrom: Value | undefined;

  constructor(source: Iterable<Value>) {
    this.#source = source[Symbol.iterator]();
  }

  /** The next item, or nothing at the end. */
  next(): Value | undefined {
    this.#fill(1);
    const next = this.#ahead.shift();
    if (next === undefined) return undefined;
    this.#previous = this.#current;
    this.#current = next;
    this.#place += 1;
    return next;
  }

  /** `loop`; `depth` counts from 0. */
  loop(depth: number, again: ((items: Value) => string) | undefined): Loop {
    const attributes: Table<() => Value> = tableOf({
      index: () => BigInt(this.#place + 1),
      index0: () => BigInt(this.#place),
      revindex: () => BigInt(this.#length() - this.#place),
      revindex0: () => BigInt(this.#length() - this.#place - 1),
      first: () => this.#place === 0,
      last: () => !this.#fill(1),
      length: () => BigInt(this.#length()),
      depth: () => BigInt(depth + 1),
      depth0: () => BigInt(depth),
      previtem: () => orElse(this.#previous, new Undefined("the item before the first")),
      nextitem: () => (this.#fill(1) ? this.#ahead[0]! : new Undefined("the item after the last")),
      changed: () => new Callable("changed", ({ positional }) => this.#hasChanged(new Tuple(positional))),
      cycle: () => new Callable("cycle", ({ positional }) => this.#cycled(positional)),
    });
    return new Loop((name) => attributes[name]?.(), again);
  }

  /** Whether so many items are known beyond the current one. */
  #fill(count: number): boolean {
    while (!this.#isDone && this.#ahead.length < count) {
      const { value, done } = this.#source.next();
      if (done === true) this.#isDone = true;
      else this.#ahead.push(value);
    }
    return this.#ahead.length >= count;
  }

  #length(): number {
    this.#fill(Number.POSITIVE_INFINITY);
    return this.#place + 1 + this.#ahead.length;
  }

  #hasChanged(value: Tuple): boolean {
    const isSame = this.#changedFrom !== undefined && equals(this.#changedFrom, value);
    this.#changedFrom = value;
    return !isSame;
  }

  #cycled(values: readonly Value[]): Value {
    if (values.length === 0) throw new TemplateError("loop.cycle: expected something to go round");
    return values[this.#place % values.length]!;
  }
}
