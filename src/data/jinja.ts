/**
 * Chat templates as transformers renders them. The Jinja of `@huggingface/jinja` differs from Python's in a few places
 * that published templates use; in the parsed tree they become calls of functions of ours: `strip`, `lstrip`, `rstrip`
 * and `trim` (the library ignores their argument and trims by JavaScript's idea of white space), `==` and `!=` (by
 * JavaScript's, a text of blanks equals false), loops over a text and `selectattr` of one, which templates for pictures
 * have (Python goes through its characters, none of which has an attribute; the library fails), and `raise_exception`,
 * whose error could not be told from others. One difference is left: Python fails where a template asks for a member of
 * a value that is not there, the library goes on.
 */
import { Template } from "@huggingface/jinja";
import { strftime } from "./strftime.ts";

/** A template's own refusal, by `raise_exception`. */
export class TemplateRefusal extends Error {}

export type TemplateContext = Readonly<Record<string, unknown>>;

/** Renders the template in a context; throws `TemplateRefusal`, or another error where the template itself fails. */
export type CompiledTemplate = (context: TemplateContext) => string;

/** Names that no template uses, for the functions put in by the rewriting. */
const STRIP = { strip: "fusechat_strip", lstrip: "fusechat_lstrip", rstrip: "fusechat_rstrip" } as const;
const REFUSE = "fusechat_refuse";
const EQUAL = "fusechat_equal";
const UNEQUAL = "fusechat_unequal";
const CHARACTERS = "fusechat_characters";
const NOTHING = "fusechat_nothing";
const STRFTIME = "fusechat_strftime";

/** Python's `str.isspace`: what `str.strip` removes. U+FEFF is no white space there, U+001C to U+001F and U+0085 are. */
const PYTHON_SPACES =
  "\t\n\v\f\r\u001c\u001d\u001e\u001f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

/** Parses once; `date` (YYYY-MM-DD) is the day that `strftime_now` tells. Throws where the template's syntax is wrong. */
export function compileTemplate(source: string, date: string): CompiledTemplate {
  // Jinja reads every kind of line end as a line feed; the library would leave the \r of \r\n behind.
  const template = new Template(source.replace(/\r\n|\r/g, "\n"));
  rewrite(template.parsed);
  return (context) =>
    template.render({
      ...context,
      [STRIP.strip]: (text: unknown, characters?: unknown) => strip(text, characters, true, true),
      [STRIP.lstrip]: (text: unknown, characters?: unknown) => strip(text, characters, true, false),
      [STRIP.rstrip]: (text: unknown, characters?: unknown) => strip(text, characters, false, true),
      [EQUAL]: equals,
      [UNEQUAL]: (left: unknown, right: unknown) => !equals(left, right),
      [CHARACTERS]: (text: string) => Array.from(text),
      [NOTHING]: () => [],
      [STRFTIME]: (format: unknown) => strftime(date, format),
      [REFUSE]: (message: unknown) => {
        throw new TemplateRefusal(typeof message === "string" ? message : "the template refuses the conversation");
      },
    });
}

/** `str.strip`, of white space where no characters are given. */
export function stripPython(text: string, characters: string = PYTHON_SPACES, left = true, right = true): string {
  const set = new Set(characters);
  let start = 0;
  let end = text.length;
  while (left && start < end) {
    const first = String.fromCodePoint(text.codePointAt(start)!);
    if (!set.has(first)) break;
    start += first.length;
  }
  while (right && start < end) {
    const isPair = end - start > 1 && /[\udc00-\udfff]/.test(text[end - 1]!);
    const last = text.slice(end - (isPair ? 2 : 1), end);
    if (!set.has(last)) break;
    end -= last.length;
  }
  return text.slice(start, end);
}

function strip(text: unknown, characters: unknown, left: boolean, right: boolean): string {
  if (typeof text !== "string")
    throw new Error(`expected a text to strip, found ${text === undefined ? "nothing" : typeof text}`);
  return stripPython(text, typeof characters === "string" ? characters : PYTHON_SPACES, left, right);
}

/** Python's `==` on the library's values: numbers and booleans by value, a text equals nothing but a text. */
function equals(left: unknown, right: unknown): boolean {
  if (isNumeric(left) && isNumeric(right)) return Number(left) === Number(right);
  if (Array.isArray(left) && Array.isArray(right)) {
    return (
      left.length === right.length && left.every((item, index) => equals(unwrapped(item), unwrapped(right[index])))
    );
  }
  if (left instanceof Map && right instanceof Map) {
    return (
      left.size === right.size &&
      [...left].every(([key, item]) => right.has(key) && equals(unwrapped(item), unwrapped(right.get(key))))
    );
  }
  return left === right;
}

function isNumeric(value: unknown): boolean {
  return typeof value === "number" || typeof value === "boolean";
}

/** Members of the library's lists and objects are wrapped, the values handed to a function are not. */
function unwrapped(member: unknown): unknown {
  return typeof member === "object" && member !== null && "value" in member ? member.value : member;
}

type Node = Record<string, unknown>;

/** Rewrites the calls in place, everywhere in the tree. */
function rewrite(value: unknown): void {
  if (Array.isArray(value)) {
    for (const item of value) rewrite(item);
  } else if (value instanceof Map) {
    // The keys and values of an object literal.
    for (const [key, item] of value) {
      rewrite(key);
      rewrite(item);
    }
  } else if (isNode(value)) {
    rewriteNode(value);
    for (const child of Object.values(value)) rewrite(child);
  }
}

function rewriteNode(node: Node): void {
  if (node.type === "CallExpression" && isNode(node.callee) && Array.isArray(node.args)) {
    const { callee } = node;
    const property = callee.type === "MemberExpression" && callee.computed !== true ? callee.property : undefined;
    const method = isNode(property) ? property.value : undefined;
    if (method === "strip" || method === "lstrip" || method === "rstrip") {
      node.callee = identifier(STRIP[method]);
      node.args = [callee.object, ...node.args];
    } else if (callee.type === "Identifier" && callee.value === "raise_exception") {
      node.callee = identifier(REFUSE);
    } else if (callee.type === "Identifier" && callee.value === "strftime_now") {
      node.callee = identifier(STRFTIME);
    }
  } else if (node.type === "BinaryExpression" && isNode(node.operator)) {
    const operator = node.operator.value;
    if (operator !== "==" && operator !== "!=") return;
    become(node, {
      type: "CallExpression",
      callee: identifier(operator === "==" ? EQUAL : UNEQUAL),
      args: [node.left, node.right],
    });
  } else if (node.type === "FilterExpression" && isNode(node.filter) && isNode(node.operand)) {
    if (node.filter.type === "Identifier" && node.filter.value === "trim") {
      become(node, { type: "CallExpression", callee: identifier(STRIP.strip), args: [node.operand] });
    } else if (isNode(node.filter.callee) && node.filter.callee.value === "selectattr") {
      node.operand = whereText(node.operand, NOTHING);
    }
  } else if (node.type === "For" && isNode(node.iterable)) {
    if (node.iterable.type === "SelectExpression" && isNode(node.iterable.lhs)) {
      node.iterable.lhs = whereText(node.iterable.lhs, CHARACTERS);
    } else {
      node.iterable = whereText(node.iterable, CHARACTERS);
    }
  }
}

/** What the function named makes of a text; other values as they are. */
function whereText(value: Node, name: string): Node {
  return {
    type: "Ternary",
    condition: { type: "TestExpression", operand: value, negate: false, test: identifier("string") },
    trueExpr: { type: "CallExpression", callee: identifier(name), args: [value] },
    falseExpr: value,
  };
}

function become(node: Node, other: Node): void {
  for (const key of Object.keys(node)) delete node[key];
  Object.assign(node, other);
}

function identifier(value: string): Node {
  return { type: "Identifier", value };
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value;
}
