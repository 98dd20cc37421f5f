/** Parses the statements of a template; what stands in them is parsed as expressions. */
import { ExpressionParser } from "./expressions.ts";
import { tokenise } from "./lexer.ts";
import type { Branch, Expression, FilterChain, Parameter, Statement, Target } from "./syntax.ts";
import { TokenReader } from "./tokens.ts";

/** Blocks inside each other; published templates stay below 20. */
const DEEPEST = 200;

/** Parts of Jinja that load other templates or change how text is escaped: no chat template can use them. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  "block",
  "extends",
  "include",
  "import",
  "from",
  "autoescape",
  "print",
]);

export function parse(template: string): readonly Statement[] {
  return new StatementParser(new TokenReader(tokenise(template))).body([]);
}

class StatementParser {
  readonly #reader: TokenReader;
  readonly #expressions: ExpressionParser;
  #depth = 0;
  /** Loops that `break` can end; a macro's body is outside of all. */
  #loops = 0;

  constructor(reader: TokenReader) {
    this.#reader = reader;
    this.#expressions = new ExpressionParser(reader);
  }

  /** Statements up to a tag of one of these names, which is left to be read, or up to the end where there are none. */
  body(ends: readonly string[]): Statement[] {
    if (++this.#depth > DEEPEST) this.#reader.fail(`expected at most ${DEEPEST} blocks inside each other`);
    const reader = this.#reader;
    const statements: Statement[] = [];
    while (!reader.isAtEnd) {
      const token = reader.take();
      if (token.kind === "text") statements.push({ kind: "text", text: token.text });
      else if (token.text === "{{") {
        statements.push({ kind: "output", expression: this.#expressions.tuple() });
        reader.expectClose();
      } else {
        if (ends.some((name) => reader.isName(name))) {
          this.#depth -= 1;
          return statements;
        }
        statements.push(this.#statement());
        reader.expectClose();
      }
    }
    if (ends.length > 0) reader.fail(`expected {% ${ends.at(-1)} %}`);
    return statements;
  }

  /** The body of a block up to its end tag, whose name is read too. */
  #block(end: string): Statement[] {
    this.#startBody();
    const body = this.body([end]);
    this.#reader.expect(end);
    return body;
  }

  /** The body behind `else`, where there is one, up to the end tag. */
  #otherwise(end: string): Statement[] {
    if (this.#reader.takeIf("else")) return this.#block(end);
    this.#reader.expect(end);
    return [];
  }

  #startBody(): void {
    this.#reader.takeIf(":");
    this.#reader.expectClose();
  }

  #statement(): Statement {
    const reader = this.#reader;
    const name = reader.expectName();
    switch (name) {
      case "if":
        return this.#if();
      case "for":
        return this.#for();
      case "set":
        return this.#set();
      case "macro":
        return this.#macro();
      case "call":
        return this.#call();
      case "filter": {
        const first = this.#expressions.filter();
        return { kind: "filter-block", filters: [first, ...this.#filters()], body: this.#block("endfilter") };
      }
      case "with":
        return this.#with();
      case "generation":
        return { kind: "scope", body: this.#outsideLoops(() => this.#block("endgeneration")) };
      case "break":
      case "continue":
        if (this.#loops === 0) reader.fail(`expected ${name} inside a loop`);
        return { kind: name };
    }
    if (UNSUPPORTED.has(name)) throw new SyntaxError(`{% ${name} %} is not supported`);
    throw new SyntaxError(`{% ${name} %} is no tag of chat templates`);
  }

  #if(): Statement {
    const reader = this.#reader;
    const branches: Branch[] = [];
    do {
      const test = this.#expressions.tuple(() => this.#expressions.condition());
      this.#startBody();
      branches.push({ test, body: this.body(["elif", "else", "endif"]) });
    } while (reader.takeIf("elif"));
    const otherwise = this.#otherwise("endif");
    return { kind: "if", branches, otherwise };
  }

  #for(): Statement {
    const reader = this.#reader;
    const target = this.#target(() => reader.isName("in"));
    reader.expect("in");
    const iterable = this.#expressions.tuple(
      () => this.#expressions.condition(),
      () => reader.isName("recursive"),
    );
    const test = reader.takeIf("if") ? this.#expressions.expression() : undefined;
    const recursive = reader.takeIf("recursive");
    this.#startBody();
    this.#loops += 1;
    const body = this.body(["endfor", "else"]);
    this.#loops -= 1;
    const otherwise = this.#otherwise("endfor");
    return { kind: "for", target, iterable, test, recursive, body, otherwise };
  }

  #set(): Statement {
    const target = this.#target(() => false);
    if (this.#reader.takeIf("=")) return { kind: "set", target, value: this.#expressions.tuple() };
    return { kind: "set-block", target, filters: this.#filters(), body: this.#block("endset") };
  }

  #macro(): Statement {
    const name = this.#reader.expectName();
    const parameters = this.#parameters();
    return { kind: "macro", name, parameters, body: this.#outsideLoops(() => this.#block("endmacro")) };
  }

  #call(): Statement {
    const parameters = this.#reader.isOperator("(") ? this.#parameters() : [];
    const call = this.#expressions.expression();
    if (call.kind !== "call") return this.#reader.fail("expected a call");
    return { kind: "call-block", call, parameters, body: this.#outsideLoops(() => this.#block("endcall")) };
  }

  #with(): Statement {
    const assignments: [Target, Expression][] = [];
    while (this.#reader.peek().kind !== "close") {
      if (assignments.length > 0) this.#reader.expect(",");
      const target = this.#target(() => this.#reader.isOperator("="));
      this.#reader.expect("=");
      assignments.push([target, this.#expressions.expression()]);
    }
    return { kind: "with", assignments, body: this.#block("endwith") };
  }

  #filters(): FilterChain {
    const filters: { name: string; given: FilterChain[number]["given"] }[] = [];
    while (this.#reader.takeIf("|")) filters.push(this.#expressions.filter());
    return filters;
  }

  #parameters(): Parameter[] {
    const reader = this.#reader;
    const parameters: Parameter[] = [];
    reader.expect("(");
    while (!reader.isOperator(")")) {
      if (parameters.length > 0) reader.expect(",");
      const name = reader.expectName();
      const byDefault = reader.takeIf("=") ? this.#expressions.expression() : undefined;
      if (byDefault === undefined && parameters.at(-1)?.byDefault !== undefined) {
        reader.fail("expected parameters without default before those that have one");
      }
      parameters.push({ name, byDefault });
    }
    reader.expect(")");
    return parameters;
  }

  #target(isEnd: () => boolean): Target {
    const primary = (): Expression => {
      const expression = this.#expressions.primary();
      if (expression.kind !== "name" || !this.#reader.takeIf(".")) return expression;
      return { kind: "attribute", object: expression, name: this.#reader.expectName() };
    };
    return this.#asTarget(this.#expressions.tuple(primary, isEnd));
  }

  #asTarget(expression: Expression): Target {
    if (expression.kind === "name") return expression;
    if (expression.kind === "tuple") {
      return { kind: "tuple", items: expression.items.map((item) => this.#asTarget(item)) };
    }
    if (expression.kind === "attribute" && expression.object.kind === "name") {
      return { kind: "member", namespace: expression.object.name, attribute: expression.name };
    }
    return this.#reader.fail("expected something that can be assigned to");
  }

  #outsideLoops<T>(parse: () => T): T {
    const loops = this.#loops;
    this.#loops = 0;
    const result = parse();
    this.#loops = loops;
    return result;
  }
}
