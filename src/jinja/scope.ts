/** Names and their values. Loops, macros and blocks have scopes of their own: what they set is gone behind them. */
import { orElse, Undefined, type Value } from "./values.ts";

export class Scope {
  readonly #names = new Map<string, Value>();
  readonly #outer: Scope | ReadonlyMap<string, Value>;

  constructor(outer: Scope | ReadonlyMap<string, Value>) {
    this.#outer = outer;
  }

  get(name: string): Value {
    let scope: Scope = this;
    for (;;) {
      const value = scope.#names.get(name);
      if (value !== undefined) return value;
      if (!(scope.#outer instanceof Scope)) return orElse(scope.#outer.get(name), new Undefined(name));
      scope = scope.#outer;
    }
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}
