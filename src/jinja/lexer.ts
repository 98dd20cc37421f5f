/**
 * Cuts a template into tokens as Jinja does with `trim_blocks` and `lstrip_blocks`, which transformers sets: the line end
 * after a block or comment belongs to it, and so do the blanks before one that is the first of its line. `-` beside a tag
 * strips all white space there, `+` none.
 */
import { PYTHON_SPACE, stripPython } from "./spaces.ts";

export type Token =
  | { readonly kind: "text" | "name" | "operator"; readonly text: string; readonly line: number }
  | { readonly kind: "string"; readonly text: string; readonly line: number }
  | { readonly kind: "integer"; readonly text: string; readonly value: bigint; readonly line: number }
  | { readonly kind: "float"; readonly text: string; readonly value: number; readonly line: number }
  | { readonly kind: "open" | "close"; readonly text: "{{" | "}}" | "{%" | "%}"; readonly line: number };

const SPACES = `[${PYTHON_SPACE}]`;
const OPENING = /\{%([-+]?)|\{\{([-+]?)|\{#([-+]?)/g;
const RAW = new RegExp(`\\{%[-+]?${SPACES}*raw${SPACES}*(-%\\}${SPACES}*|%\\})`, "y");
const RAW_END = new RegExp(`\\{%([-+]?)${SPACES}*endraw${SPACES}*(\\+%\\}|-%\\}${SPACES}*|%\\}\\n?)`, "g");
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}${SPACES}*|#\\}\\n?`, "g");
const CLOSING = {
  "{%": new RegExp(`\\+%\\}|-%\\}${SPACES}*|%\\}\\n?`, "y"),
  "{{": new RegExp(`-\\}\\}${SPACES}*|\\}\\}`, "y"),
};

const SPACE = new RegExp(`${SPACES}+`, "y");
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/y;
const INTEGER = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const NAME = /[\p{L}\p{N}_]+/uy;
const STRING = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/sy;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;

const CLOSER = new Map([
  ["(", ")"],
  ["[", "]"],
  ["{", "}"],
]);

/** Tokens of the whole template; throws where the syntax is wrong. */
export function tokenise(template: string): Token[] {
  const source = template.replace(/\r\n|\r/g, "\n").replace(/\n$/, "");
  const tokens: Token[] = [];
  const lines = lineCounter(source);
  let position = 0;
  /** Whether what was read last ended a line: blanks from here on are the first of theirs. */
  let lineStarts = true;
  while (position < source.length) {
    OPENING.lastIndex = position;
    const opening = OPENING.exec(source);
    const end = opening?.index ?? source.length;
    const tag = opening?.[0].slice(0, 2);
    const sign = opening?.[0].slice(2);
    const text = source.slice(position, end);
    const kept = opening === null ? text : beforeTag(text, tag!, sign!, lineStarts);
    if (kept !== "") tokens.push({ kind: "text", text: kept, line: lines(position) });
    if (opening === null) break;
    if (tag === "{#") {
      position = endOf(COMMENT_END, source, OPENING.lastIndex, "a comment is not closed", lines(end));
    } else if (tag === "{%" && matchAt(RAW, source, end) !== undefined) {
      position = readRaw(source, RAW.lastIndex, tokens, lines(end));
    } else {
      position = readTag(source, OPENING.lastIndex, tag === "{%" ? "{%" : "{{", tokens, lines);
    }
    lineStarts = source[position - 1] === "\n";
  }
  return tokens;
}

/** The text before a tag, without what the tag strips of it. */
function beforeTag(text: string, tag: string, sign: string, lineStarts: boolean): string {
  if (sign === "-") return stripPython(text, undefined, false, true);
  if (sign === "+" || tag === "{{") return text;
  const lineStart = text.lastIndexOf("\n") + 1;
  const isFirst = lineStart > 0 || lineStarts;
  return isFirst && stripPython(text.slice(lineStart)) === "" ? text.slice(0, lineStart) : text;
}

/** What stands in `{% raw %}` is text. */
function readRaw(source: string, start: number, tokens: Token[], line: number): number {
  if (start === source.length) return start;
  RAW_END.lastIndex = start;
  const end = RAW_END.exec(source);
  if (end === null) throw new SyntaxError(`line ${line}: a raw block is not closed`);
  const text = beforeTag(source.slice(start, end.index), "{%", end[1]!, source[start - 1] === "\n");
  if (text !== "") tokens.push({ kind: "text", text, line });
  return RAW_END.lastIndex;
}

/** The tokens inside a tag, with its brackets; the position behind it. */
function readTag(
  source: string,
  start: number,
  opening: "{%" | "{{",
  tokens: Token[],
  lines: (position: number) => number,
): number {
  tokens.push({ kind: "open", text: opening, line: lines(start) });
  const brackets: string[] = [];
  let position = start;
  while (position < source.length) {
    const line = lines(position);
    if (brackets.length === 0 && matchAt(CLOSING[opening], source, position) !== undefined) {
      tokens.push({ kind: "close", text: opening === "{%" ? "%}" : "}}", line });
      return CLOSING[opening].lastIndex;
    }
    const space = matchAt(SPACE, source, position);
    if (space !== undefined) {
      position += space.length;
      continue;
    }
    const token = readToken(source, position, line);
    if (token.kind === "operator") balance(brackets, token.text, line);
    position += token.text.length;
    tokens.push(token.kind === "string" ? { ...token, text: unescaped(token.text.slice(1, -1), line) } : token);
  }
  throw new SyntaxError(`line ${lines(start)}: a tag is not closed`);
}

function readToken(source: string, position: number, line: number): Token {
  const float = matchAt(FLOAT, source, position);
  if (float !== undefined) {
    const value = Number(float.replaceAll("_", ""));
    if (!Number.isFinite(value)) throw new SyntaxError(`line ${line}: ${float} is larger than any float`);
    return { kind: "float", text: float, value, line };
  }
  const integer = matchAt(INTEGER, source, position);
  if (integer !== undefined)
    return { kind: "integer", text: integer, value: BigInt(integer.replaceAll("_", "")), line };
  const name = matchAt(NAME, source, position);
  if (name !== undefined) {
    if (!/^[\p{ID_Start}_][\p{ID_Continue}]*$/u.test(name)) throw new SyntaxError(`line ${line}: ${name} is no name`);
    return { kind: "name", text: name, line };
  }
  const string = matchAt(STRING, source, position);
  if (string !== undefined) return { kind: "string", text: string, line };
  const operator = matchAt(OPERATOR, source, position);
  if (operator !== undefined) return { kind: "operator", text: operator, line };
  const found = JSON.stringify(String.fromCodePoint(source.codePointAt(position)!));
  throw new SyntaxError(`line ${line}: unexpected ${found}`);
}

function balance(brackets: string[], operator: string, line: number): void {
  const closer = CLOSER.get(operator);
  if (closer !== undefined) brackets.push(closer);
  else if (operator === ")" || operator === "]" || operator === "}") {
    if (brackets.pop() !== operator) throw new SyntaxError(`line ${line}: unexpected ${operator}`);
  }
}

const ESCAPES = new Map([
  ["\n", ""],
  ["\\", "\\"],
  ["'", "'"],
  ['"', '"'],
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
]);

/** Python's escapes; a backslash before any other character stays. */
function unescaped(text: string, line: number): string {
  return text.replace(
    /\\(?:x(.{0,2})|u(.{0,4})|U(.{0,8})|([0-7]{1,3})|(N)|(.))/gsu,
    (whole, x, u, long, octal, named, other) => {
      const hex = x ?? u ?? long;
      const digits = x !== undefined ? 2 : u !== undefined ? 4 : 8;
      if (hex !== undefined) {
        const code = new RegExp(`^[\\da-fA-F]{${digits}}$`).test(hex) ? Number.parseInt(hex, 16) : Number.NaN;
        const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        if (!isCharacter) throw new SyntaxError(`line ${line}: the escape ${whole} is no character`);
        return String.fromCodePoint(code);
      }
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      if (named !== undefined) throw new SyntaxError(`line ${line}: escapes by name, \\N{...}, are not supported`);
      if (other > "\x7f") throw new SyntaxError(`line ${line}: a backslash before ${other} is not supported`);
      return ESCAPES.get(other) ?? whole;
    },
  );
}

function matchAt(pattern: RegExp, source: string, position: number): string | undefined {
  pattern.lastIndex = position;
  return pattern.exec(source)?.[0];
}

function endOf(pattern: RegExp, source: string, position: number, problem: string, line: number): number {
  // Jinja takes no offence at one that opens as the very last thing.
  if (position === source.length) return position;
  pattern.lastIndex = position;
  if (pattern.exec(source) === null) throw new SyntaxError(`line ${line}: ${problem}`);
  return pattern.lastIndex;
}

/** Line numbers of positions that only grow. */
function lineCounter(source: string): (position: number) => number {
  let line = 1;
  let counted = 0;
  return (position) => {
    for (; counted < position; counted++) if (source[counted] === "\n") line += 1;
    return line;
  };
}
