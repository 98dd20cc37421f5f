/**
 * Parses expressions by Jinja's grammar, which is not quite Python's: from loose to tight, `if else`, `or`, `and`, `not`,
 * comparisons, `+ -`, `~`, `* / // %`, `**` (from the left), signs, and then what follows a value: members, calls,
 * filters and tests, which bind tighter than a sign before a number does.
 */
import {
  type Arithmetic,
  type Comparison,
  type ComparisonPart,
  type Expression,
  type GivenArguments,
  NO_ARGUMENTS,
} from "./syntax.ts";
import type { TokenReader } from "./tokens.ts";

/** Brackets, signs and conditions inside each other; published templates stay below 20. */
const DEEPEST = 200;

const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);

export class ExpressionParser {
  readonly #reader: TokenReader;
  #depth = 0;

  constructor(reader: TokenReader) {
    this.#reader = reader;
  }

  expression(): Expression {
    return this.#nested(() => this.#conditional());
  }

  /** Without `if else`, which has another meaning in loops. */
  condition(): Expression {
    return this.#nested(() => this.#or());
  }

  /** An expression, or several with commas between them, which are a tuple. */
  tuple(parse: () => Expression = () => this.expression(), isEnd: () => boolean = () => false): Expression {
    const reader = this.#reader;
    const items: Expression[] = [];
    let isTuple = false;
    while (!(reader.peek().kind === "close" || reader.isOperator(")") || isEnd())) {
      items.push(parse());
      if (!reader.takeIf(",")) break;
      isTuple = true;
    }
    if (isTuple) return { kind: "tuple", items };
    if (items.length === 0) reader.fail("expected an expression");
    return items[0]!;
  }

  primary(): Expression {
    const reader = this.#reader;
    const token = reader.peek();
    switch (token.kind) {
      case "name":
        reader.take();
        return CONSTANTS.get(token.text) ?? { kind: "name", name: token.text };
      case "string": {
        let text = "";
        while (reader.peek().kind === "string") text += reader.take().text;
        return { kind: "constant", value: text };
      }
      case "integer":
      case "float":
        reader.take();
        return { kind: "constant", value: token.value };
      case "operator":
        if (token.text === "(") return this.#nested(() => this.#parenthesis());
        if (token.text === "[") return this.#nested(() => this.#list());
        if (token.text === "{") return this.#nested(() => this.#dict());
    }
    return reader.fail("expected an expression");
  }

  call(callee: Expression): Expression & { readonly kind: "call" } {
    return { kind: "call", callee, given: this.#arguments() };
  }

  /** `| name(arguments)`, the bar not included. */
  filter(): { readonly name: string; readonly given: GivenArguments } {
    const name = this.#dottedName();
    return { name, given: this.#reader.isOperator("(") ? this.#arguments() : NO_ARGUMENTS };
  }

  #nested<T>(parse: () => T): T {
    if (++this.#depth > DEEPEST) this.#reader.fail(`expected at most ${DEEPEST} brackets inside each other`);
    const result = parse();
    this.#depth -= 1;
    return result;
  }

  #conditional(): Expression {
    const reader = this.#reader;
    let then = this.#or();
    while (reader.takeIf("if")) {
      const test = this.#or();
      const otherwise = reader.takeIf("else") ? this.#nested(() => this.#conditional()) : undefined;
      then = { kind: "conditional", test, then, otherwise };
    }
    return then;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#reader.takeIf("or")) left = { kind: "or", left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#reader.takeIf("and")) left = { kind: "and", left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (this.#reader.takeIf("not")) return { kind: "not", operand: this.#nested(() => this.#not()) };
    return this.#comparison();
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: ComparisonPart[] = [];
    for (let operator = this.#comparisonOperator(); operator !== undefined; operator = this.#comparisonOperator()) {
      rest.push({ operator, operand: this.#sum() });
    }
    return rest.length === 0 ? first : { kind: "comparison", first, rest };
  }

  #comparisonOperator(): Comparison | undefined {
    const reader = this.#reader;
    const { kind, text } = reader.peek();
    if (kind === "operator" && COMPARISONS.has(text)) return reader.take().text as Comparison;
    if (reader.takeIf("in")) return "in";
    if (!(reader.isName("not") && reader.isName("in", 1))) return undefined;
    reader.take();
    reader.take();
    return "not in";
  }

  #sum(): Expression {
    return this.#leftToRight(["+", "-"], () => this.#concatenation());
  }

  #concatenation(): Expression {
    const parts = [this.#product()];
    while (this.#reader.takeIf("~")) parts.push(this.#product());
    return parts.length === 1 ? parts[0]! : { kind: "concatenation", parts };
  }

  #product(): Expression {
    return this.#leftToRight(["*", "/", "//", "%"], () => this.#power());
  }

  #power(): Expression {
    return this.#leftToRight(["**"], () => this.#unary(true));
  }

  #leftToRight(operators: readonly Arithmetic[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((candidate) => this.#reader.isOperator(candidate));
      if (operator === undefined) return left;
      this.#reader.take();
      left = { kind: "arithmetic", operator, left, right: operand() };
    }
  }

  #unary(withFilters: boolean): Expression {
    const reader = this.#reader;
    let value: Expression;
    if (reader.isOperator("-") || reader.isOperator("+")) {
      const sign = reader.take().text as "+" | "-";
      value = { kind: "sign", sign, operand: this.#nested(() => this.#unary(false)) };
    } else value = this.primary();
    value = this.#withMembers(value);
    return withFilters ? this.#withFilters(value) : value;
  }

  #withMembers(start: Expression): Expression {
    const reader = this.#reader;
    let value = start;
    for (;;) {
      if (reader.takeIf(".")) value = this.#member(value);
      else if (reader.takeIf("[")) value = { kind: "item", object: value, index: this.#index() };
      else if (reader.isOperator("(")) value = this.call(value);
      else return value;
    }
  }

  #withFilters(start: Expression): Expression {
    const reader = this.#reader;
    let value = start;
    for (;;) {
      if (reader.takeIf("|")) value = { kind: "filter", operand: value, ...this.filter() };
      else if (reader.takeIf("is")) value = this.#test(value);
      else if (reader.isOperator("(")) value = this.call(value);
      else return value;
    }
  }

  #member(object: Expression): Expression {
    const token = this.#reader.take();
    if (token.kind === "name") return { kind: "attribute", object, name: token.text };
    if (token.kind === "integer") return { kind: "item", object, index: { kind: "constant", value: token.value } };
    return this.#reader.fail("expected a name or a number after the dot");
  }

  /** What stands in square brackets, the closing one included. */
  #index(): Expression {
    const reader = this.#reader;
    const parts: Expression[] = [];
    while (!reader.isOperator("]")) {
      if (parts.length > 0) reader.expect(",");
      parts.push(this.#nested(() => this.#subscript()));
    }
    reader.expect("]");
    return parts.length === 1 ? parts[0]! : { kind: "tuple", items: parts };
  }

  #subscript(): Expression {
    const reader = this.#reader;
    const bound = (): Expression | undefined =>
      reader.isOperator(":") || reader.isOperator("]") || reader.isOperator(",") ? undefined : this.expression();
    const first = bound();
    if (!reader.takeIf(":")) return first ?? reader.fail("expected an index");
    const stop = bound();
    return { kind: "slice", bounds: [first, stop, reader.takeIf(":") ? bound() : undefined] };
  }

  #test(operand: Expression): Expression {
    const reader = this.#reader;
    const isNegated = reader.takeIf("not");
    const name = this.#dottedName();
    let given = NO_ARGUMENTS;
    if (reader.isOperator("(")) given = this.#arguments();
    else if (this.#startsOperand()) {
      if (reader.isName("is")) reader.fail("expected no second test");
      given = { ...NO_ARGUMENTS, positional: [this.#withMembers(this.primary())] };
    }
    const test: Expression = { kind: "test", operand, name, given };
    return isNegated ? { kind: "not", operand: test } : test;
  }

  /** Whether a test has its argument without brackets, as in `is divisibleby 3`. */
  #startsOperand(): boolean {
    const { kind, text } = this.#reader.peek();
    if (kind === "operator") return text === "[" || text === "{";
    if (kind === "name") return !["else", "or", "and"].includes(text);
    return kind === "string" || kind === "integer" || kind === "float";
  }

  #dottedName(): string {
    let name = this.#reader.expectName();
    while (this.#reader.takeIf(".")) name += `.${this.#reader.expectName()}`;
    return name;
  }

  #parenthesis(): Expression {
    const reader = this.#reader;
    reader.expect("(");
    const inside: Expression = reader.isOperator(")") ? { kind: "tuple", items: [] } : this.tuple();
    reader.expect(")");
    return inside;
  }

  #list(): Expression {
    const items: Expression[] = [];
    this.#separated("[", "]", () => items.push(this.expression()));
    return { kind: "list", items };
  }

  #dict(): Expression {
    const entries: [Expression, Expression][] = [];
    this.#separated("{", "}", () => {
      const key = this.expression();
      this.#reader.expect(":");
      entries.push([key, this.expression()]);
    });
    return { kind: "dict", entries };
  }

  #arguments(): GivenArguments {
    const reader = this.#reader;
    const positional: Expression[] = [];
    const keyword: [string, Expression][] = [];
    let spread: Expression | undefined;
    let keywordSpread: Expression | undefined;
    const require = (isAllowed: boolean): void => {
      if (!isAllowed) reader.fail("expected arguments in Python's order");
    };
    this.#separated("(", ")", () => {
      if (reader.takeIf("*")) {
        require(spread === undefined && keywordSpread === undefined);
        spread = this.expression();
      } else if (reader.takeIf("**")) {
        require(keywordSpread === undefined);
        keywordSpread = this.expression();
      } else if (reader.peek().kind === "name" && reader.isOperator("=", 1)) {
        require(keywordSpread === undefined);
        const name = reader.expectName();
        reader.expect("=");
        if (keyword.some(([other]) => other === name)) reader.fail(`expected the argument ${name} once`);
        keyword.push([name, this.expression()]);
      } else {
        require(spread === undefined && keywordSpread === undefined && keyword.length === 0);
        positional.push(this.expression());
      }
    });
    return { positional, keyword, spread, keywordSpread };
  }

  /** What stands between two brackets, separated by commas, one of which may stand at the end. */
  #separated(open: string, close: string, parse: () => void): void {
    const reader = this.#reader;
    this.#nested(() => {
      reader.expect(open);
      for (let isFirst = true; !reader.isOperator(close); isFirst = false) {
        if (!isFirst) reader.expect(",");
        if (!isFirst && reader.isOperator(close)) break;
        parse();
      }
      reader.expect(close);
    });
  }
}

const CONSTANTS: ReadonlyMap<string, Expression> = new Map(
  (
    [
      ["true", true],
      ["True", true],
      ["false", false],
      ["False", false],
      ["none", null],
      ["None", null],
    ] as const
  ).map(([name, value]) => [name, { kind: "constant", value }]),
);
