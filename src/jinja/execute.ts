/** Statements to text. */
import { applyFilter, call, evaluate, evaluateArguments } from "./evaluate.ts";
import type { HiddenNames } from "./frames.ts";
import { LoopItems } from "./loop.ts";
import { toText } from "./repr.ts";
import { Scope } from "./scope.ts";
import type { FilterChain, Parameter, Statement, Target } from "./syntax.ts";
import {
  type Call,
  Callable,
  Dict,
  isTrue,
  iterate,
  Namespace,
  Once,
  orElse,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Calls of macros and of recursive loops inside each other; Python stops at some hundreds too. */
const DEEPEST = 200;

/** What ends a loop's body early. */
type Jump = "break" | "continue" | undefined;

type ForStatement = Statement & { readonly kind: "for" };

/** One rendering. */
export class Execution {
  readonly #hidden: HiddenNames;
  #depth = 0;

  constructor(hidden: HiddenNames) {
    this.#hidden = hidden;
  }

  /** The text of a body, in a scope that is its own. */
  render(statements: readonly Statement[], scope: Scope): string {
    const output: string[] = [];
    this.#hide(statements, scope);
    this.#run(statements, scope, output);
    return output.join("");
  }

  #hide(body: readonly Statement[], scope: Scope): void {
    for (const name of this.#hidden.get(body) ?? []) scope.set(name, new Undefined(name));
  }

  #run(statements: readonly Statement[], scope: Scope, output: string[]): Jump {
    for (const statement of statements) {
      const jump = this.#execute(statement, scope, output);
      if (jump !== undefined) return jump;
    }
    return undefined;
  }

  #execute(statement: Statement, scope: Scope, output: string[]): Jump {
    switch (statement.kind) {
      case "text":
        output.push(statement.text);
        return undefined;
      case "output":
        output.push(toText(evaluate(statement.expression, scope)));
        return undefined;
      case "if": {
        const branch = statement.branches.find(({ test }) => isTrue(evaluate(test, scope)));
        return this.#run(branch?.body ?? statement.otherwise, scope, output);
      }
      case "for":
        return this.#loop(statement, evaluate(statement.iterable, scope), scope, output, 0);
      case "break":
      case "continue":
        return statement.kind;
      case "set":
        assign(statement.target, evaluate(statement.value, scope), scope);
        return undefined;
      case "set-block":
        assign(statement.target, this.#filtered(statement.body, statement.filters, scope), scope);
        return undefined;
      case "filter-block":
        output.push(toText(this.#filtered(statement.body, statement.filters, scope)));
        return undefined;
      case "with": {
        const inner = new Scope(scope);
        for (const [target, value] of statement.assignments) assign(target, evaluate(value, scope), inner);
        this.#hide(statement.body, inner);
        return this.#run(statement.body, inner, output);
      }
      case "scope":
        output.push(this.render(statement.body, new Scope(scope)));
        return undefined;
      case "macro":
        scope.set(statement.name, this.#macro(statement.name, statement.parameters, statement.body, scope));
        return undefined;
      case "call-block": {
        const caller = this.#macro("caller", statement.parameters, statement.body, scope);
        const { positional, keyword } = evaluateArguments(statement.call.given, scope);
        const given = { positional, keyword: new Map(keyword).set("caller", caller) };
        output.push(toText(call(evaluate(statement.call.callee, scope), given)));
        return undefined;
      }
    }
  }

  #filtered(body: readonly Statement[], filters: FilterChain, scope: Scope): Value {
    const text: Value = this.render(body, new Scope(scope));
    return filters.reduce<Value>(
      (value, { name, given }) => applyFilter(name, value, evaluateArguments(given, scope)),
      text,
    );
  }

  #loop(statement: ForStatement, iterable: Value, scope: Scope, output: string[], depth: number): Jump {
    const items = new LoopItems(this.#accepted(statement, iterable, scope));
    const again = !statement.recursive
      ? undefined
      : (inner: Value): string =>
          this.#deeper(() => {
            const text: string[] = [];
            this.#loop(statement, inner, scope, text, depth + 1);
            return text.join("");
          });
    const loop = items.loop(depth, again);
    // Jinja runs the else block unless some item's body came to its end.
    let hasEnded = false;
    for (let item = items.next(); item !== undefined; item = items.next()) {
      const inner = new Scope(scope);
      inner.set("loop", loop);
      assign(statement.target, item, inner);
      this.#hide(statement.body, inner);
      const jump = this.#run(statement.body, inner, output);
      if (jump === "break") break;
      if (jump === undefined) hasEnded = true;
    }
    if (hasEnded) return undefined;
    const inner = new Scope(scope);
    this.#hide(statement.otherwise, inner);
    return this.#run(statement.otherwise, inner, output);
  }

  /** The items that the loop's condition lets through, each asked for only when its turn comes. */
  *#accepted({ target, test }: ForStatement, iterable: Value, scope: Scope): Iterable<Value> {
    for (const item of iterable instanceof Once ? oneByOne(iterable) : iterate(iterable)) {
      if (test !== undefined) {
        const inner = new Scope(scope);
        inner.set("loop", new Undefined("loop in the condition of a loop"));
        assign(target, item, inner);
        if (!isTrue(evaluate(test, inner))) continue;
      }
      yield item;
    }
  }

  #macro(name: string, parameters: readonly Parameter[], body: readonly Statement[], scope: Scope): Callable {
    const names = parameters.map((parameter) => parameter.name);
    const takes = {
      varargs: mentions(body, "varargs"),
      kwargs: mentions(body, "kwargs"),
      caller: mentions(body, "caller"),
    };
    return new Callable(name, ({ positional, keyword }: Call) =>
      this.#deeper(() => {
        const inner = new Scope(scope);
        const byName = new Map(keyword);
        for (const [place, parameter] of parameters.entries()) {
          if (place < positional.length && byName.has(parameter.name)) {
            throw new TemplateError(`${name}: the argument ${parameter.name} is given twice`);
          }
          const given = place < positional.length ? positional[place] : byName.get(parameter.name);
          byName.delete(parameter.name);
          const byDefault = parameter.byDefault;
          inner.set(
            parameter.name,
            given !== undefined
              ? given
              : byDefault === undefined
                ? new Undefined(parameter.name)
                : evaluate(byDefault, inner),
          );
        }
        if (takes.caller && !names.includes("caller")) {
          inner.set("caller", orElse(byName.get("caller"), new Undefined("caller")));
          byName.delete("caller");
        }
        if (takes.kwargs) inner.set("kwargs", new Dict(byName));
        else if (byName.size > 0)
          throw new TemplateError(`${name}: there is no argument named ${[...byName.keys()][0]}`);
        const rest = positional.slice(parameters.length);
        if (takes.varargs) inner.set("varargs", new Tuple(rest));
        else if (rest.length > 0) {
          throw new TemplateError(`${name}: expected at most ${names.length} arguments, found ${positional.length}`);
        }
        return this.render(body, inner);
      }),
    );
  }

  #deeper<T>(work: () => T): T {
    if (this.#depth >= DEEPEST) throw new TemplateError(`calls go deeper than ${DEEPEST}`);
    this.#depth += 1;
    try {
      return work();
    } finally {
      this.#depth -= 1;
    }
  }
}

function* oneByOne(items: Once): Iterable<Value> {
  for (let item = items.next(); item !== undefined; item = items.next()) yield item;
}

function assign(target: Target, value: Value, scope: Scope): void {
  if (target.kind === "name") scope.set(target.name, value);
  else if (target.kind === "member") {
    const namespace = scope.get(target.namespace);
    if (!(namespace instanceof Namespace)) {
      throw new TemplateError(`expected ${target.namespace} to be a namespace, found ${typeName(namespace)}`);
    }
    namespace.attributes.set(target.attribute, value);
  } else {
    const values = iterate(value);
    if (values.length !== target.items.length) {
      throw new TemplateError(`expected ${target.items.length} values to assign, found ${values.length}`);
    }
    for (const [place, item] of target.items.entries()) assign(item, values[place]!, scope);
  }
}

/** Whether a name stands anywhere in the statements. */
function mentions(part: unknown, name: string): boolean {
  if (Array.isArray(part)) return part.some((one) => mentions(one, name));
  if (typeof part !== "object" || part === null) return false;
  if ("kind" in part && part.kind === "name" && "name" in part && part.name === name) return true;
  return Object.values(part).some((one) => mentions(one, name));
}
