/** The tokens as the parser takes them: one after the other, with a look at the next. */
import type { Token } from "./lexer.ts";

const END: Token = { kind: "text", text: "", line: 0 };

export class TokenReader {
  #next = 0;
  readonly #tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get isAtEnd(): boolean {
    return this.#next >= this.#tokens.length;
  }

  /** The token that comes next, or the one after it; an empty text at the end. */
  peek(ahead = 0): Token {
    return this.#tokens[this.#next + ahead] ?? END;
  }

  take(): Token {
    if (this.isAtEnd) throw new SyntaxError("the template ends in the middle of a tag or block");
    return this.#tokens[this.#next++]!;
  }

  isOperator(text: string, ahead = 0): boolean {
    const { kind, text: found } = this.peek(ahead);
    return kind === "operator" && found === text;
  }

  isName(text: string, ahead = 0): boolean {
    const { kind, text: found } = this.peek(ahead);
    return kind === "name" && found === text;
  }

  /** Takes the operator or the name where it comes next. */
  takeIf(text: string): boolean {
    const is = this.isOperator(text) || this.isName(text);
    if (is) this.#next += 1;
    return is;
  }

  expect(text: string): void {
    if (!this.takeIf(text)) this.fail(`expected ${text}`);
  }

  expectName(): string {
    if (this.peek().kind !== "name") this.fail("expected a name");
    return this.take().text;
  }

  expectClose(): void {
    if (this.peek().kind !== "close") this.fail("expected the end of the tag");
    this.take();
  }

  fail(problem: string): never {
    const { text, line } = this.peek();
    const found = this.isAtEnd ? "the end of the template" : JSON.stringify(text.slice(0, 40));
    throw new SyntaxError(`${this.isAtEnd ? "" : `line ${line}: `}${problem}, found ${found}`);
  }
}
