/** Expressions to values. */
import { arithmetic, signed } from "./arithmetic.ts";
import { compare, contains, equals } from "./comparison.ts";
import type { Filters } from "./filter.ts";
import { filterNamed } from "./filters.ts";
import { attribute, item, slice } from "./members.ts";
import { toText } from "./repr.ts";
import type { Scope } from "./scope.ts";
import type { Comparison, Expression, GivenArguments } from "./syntax.ts";
import { testNamed } from "./tests.ts";
import {
  type Call,
  Callable,
  Dict,
  isTrue,
  iterate,
  Loop,
  orElse,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

export function evaluate(expression: Expression, scope: Scope): Value {
  switch (expression.kind) {
    case "constant":
      return expression.value;
    case "name":
      return scope.get(expression.name);
    case "list":
      return expression.items.map((one) => evaluate(one, scope));
    case "tuple":
      return new Tuple(expression.items.map((one) => evaluate(one, scope)));
    case "dict":
      return new Dict(expression.entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)]));
    case "attribute":
      return named(attribute(evaluate(expression.object, scope), expression.name), expression);
    case "item":
      return itemOf(expression.object, expression.index, scope);
    case "slice":
      throw new TemplateError("expected a slice in square brackets behind a value");
    case "call":
      return call(evaluate(expression.callee, scope), evaluateArguments(expression.given, scope));
    case "filter":
      return applyFilter(
        expression.name,
        evaluate(expression.operand, scope),
        evaluateArguments(expression.given, scope),
      );
    case "test": {
      const value = evaluate(expression.operand, scope);
      return testNamed(expression.name)(value, evaluateArguments(expression.given, scope), expression.name);
    }
    case "not":
      return !isTrue(evaluate(expression.operand, scope));
    case "sign":
      return signed(expression.sign, evaluate(expression.operand, scope));
    case "arithmetic":
      return arithmetic(expression.operator, evaluate(expression.left, scope), evaluate(expression.right, scope));
    case "concatenation":
      return expression.parts.map((part) => toText(evaluate(part, scope))).join("");
    case "comparison":
      return comparison(expression, scope);
    case "and": {
      const left = evaluate(expression.left, scope);
      return isTrue(left) ? evaluate(expression.right, scope) : left;
    }
    case "or": {
      const left = evaluate(expression.left, scope);
      return isTrue(left) ? left : evaluate(expression.right, scope);
    }
    case "conditional":
      if (isTrue(evaluate(expression.test, scope))) return evaluate(expression.then, scope);
      return expression.otherwise === undefined
        ? new Undefined("the value of an if without else")
        : evaluate(expression.otherwise, scope);
  }
}

export const applyFilter: Filters = (name, value, given) => filterNamed(name)(value, given, name, applyFilter);

export function evaluateArguments(given: GivenArguments, scope: Scope): Call {
  const positional = given.positional.map((one) => evaluate(one, scope));
  const keyword = new Map(given.keyword.map(([name, value]) => [name, evaluate(value, scope)]));
  if (given.spread !== undefined) positional.push(...iterate(evaluate(given.spread, scope)));
  if (given.keywordSpread !== undefined) {
    const more = evaluate(given.keywordSpread, scope);
    if (!(more instanceof Dict)) throw new TemplateError(`expected a dict behind **, found ${typeName(more)}`);
    for (const [name, value] of more.entries()) {
      if (typeof name !== "string" || keyword.has(name))
        throw new TemplateError("expected each argument once, by a name");
      keyword.set(name, value);
    }
  }
  return { positional, keyword };
}

export function call(callee: Value, given: Call): Value {
  if (callee instanceof Callable) return callee.call(given);
  if (callee instanceof Loop && callee.again !== undefined) return callee.again(orElse(given.positional[0], null));
  throw new TemplateError(`expected something to call, found ${typeName(callee)}`);
}

/** For messages: what is not there is named as the template writes it. */
function named(value: Value, expression: Expression): Value {
  return value instanceof Undefined ? new Undefined(spelled(expression)) : value;
}

function spelled(expression: Expression): string {
  if (expression.kind === "name") return expression.name;
  if (expression.kind === "attribute") return `${spelled(expression.object)}.${expression.name}`;
  if (expression.kind !== "item") return "a value";
  const { index } = expression;
  return `${spelled(expression.object)}[${index.kind === "constant" ? toText(index.value) : spelled(index)}]`;
}

function itemOf(object: Expression, index: Expression, scope: Scope): Value {
  const value = evaluate(object, scope);
  if (index.kind !== "slice") return named(item(value, evaluate(index, scope)), { kind: "item", object, index });
  const [start, stop, step] = index.bounds.map((bound) => (bound === undefined ? null : evaluate(bound, scope)));
  return slice(value, { start: start!, stop: stop!, step: step! });
}

function comparison({ first, rest }: Expression & { readonly kind: "comparison" }, scope: Scope): boolean {
  let left = evaluate(first, scope);
  for (const { operator, operand } of rest) {
    const right = evaluate(operand, scope);
    if (!holds(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function holds(operator: Comparison, left: Value, right: Value): boolean {
  switch (operator) {
    case "==":
      return equals(left, right);
    case "!=":
      return !equals(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
    case "<":
      return compare(left, right) < 0;
    case "<=":
      return compare(left, right) <= 0;
    case ">":
      return compare(left, right) > 0;
    case ">=":
      return compare(left, right) >= 0;
  }
}
