/**
 * YAML whose values know their place: `parseYaml` gives plain data and a function from a key path to `line:column`.
 * Configurations are small and written by hand, so what only attacks and accidents need is refused: megabytes, aliases
 * that multiply, several documents in one file.
 */
import {
  type Document,
  type DocumentOptions,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Pair,
  type ParseOptions,
  parseAllDocuments,
  parseDocument,
  type YAMLMap,
} from "yaml";
import { withoutStacks } from "../errors.ts";

/** Keys and list indices from the root to a value. */
export type KeyPath = readonly (string | number)[];

export interface YamlProblem {
  /** `12:5`, both counted from 1. */
  readonly place: string;
  readonly message: string;
}

export interface YamlDocument {
  /** The data, or undefined where there are problems. */
  readonly value: unknown;
  readonly problems: readonly YamlProblem[];
  /** `line:column` of the value at a path, or of its key; of the nearest thing around it where it is missing. */
  place(path: KeyPath, part?: "key" | "value"): string;
}

const MOST_CHARACTERS = 150_000;
/** Aliases may stand for this many nodes in all; a YAML bomb's stand for billions. */
const MOST_ALIASES = 100;

/**
 * Lists and mappings within each other. The parser recurses, and where its stack ends while it compiles a regular
 * expression, V8 ends the process: such text must not reach it.
 */
const DEEPEST = 100;
const TOO_DEEP = `expected at most ${DEEPEST} lists and mappings within each other, found more`;
/** Characters before a line's text, and marks of lists and mappings that stand in one line, outside of brackets. */
const LONGEST_INDENT = 200;
/** Marks with which the lexer tells what its next token is: a document's start, a text. */
const TEXT_FOLLOWS = "\x1f";

/** Version 1.1 is what Python's YAML speaks: there `yes` and `off` are booleans. */
type Version = "1.1" | "1.2";

/** Reads one document. */
export function parseYaml(text: string, version: Version = "1.2"): YamlDocument {
  return parseGuarded(text, (options) => [parseDocument(text, { ...options, version })])[0]!;
}

/** Reads one document or several, which `---` separates; empty ones are left out unless all are. */
export function parseYamlDocuments(text: string, version: Version = "1.2"): readonly YamlDocument[] {
  const documents = parseGuarded(
    text,
    (options) => [...parseAllDocuments(text, { ...options, version })] as Document[],
  );
  const full = documents.filter(
    ({ value, problems }) => problems.length > 0 || (value !== null && value !== undefined),
  );
  return full.length > 0 ? full : documents.slice(0, 1);
}

type Options = Pick<ParseOptions & DocumentOptions, "lineCounter" | "prettyErrors" | "stringKeys" | "uniqueKeys">;

function parseGuarded(text: string, parse: (options: Options) => readonly Document[]): readonly YamlDocument[] {
  if (text.length > MOST_CHARACTERS) {
    return [refused(`expected at most ${MOST_CHARACTERS} characters, found ${text.length}`)];
  }
  if (isTooDeep(text)) return [refused(TOO_DEEP)];
  const lines = new LineCounter();
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  let documents: readonly Document[];
  try {
    // Of a hundred thousand marks each may be a mistake, with an error that nobody catches.
    documents = withoutStacks(() =>
      parse({ lineCounter: lines, prettyErrors: false, stringKeys: true, uniqueKeys: false }),
    );
  } catch (error) {
    // What the count has missed overflows the parser's stack, which is pure JavaScript and stands it.
    if (error instanceof RangeError) return [refused(TOO_DEEP)];
    throw error;
  }
  const empty: YamlDocument = { value: null, problems: [], place: () => "1:1" };
  return documents.length === 0 ? [empty] : documents.map((document) => readDocument(document, at));
}

function readDocument(document: Document, at: (offset: number) => string): YamlDocument {
  const problems = [...document.errors, ...document.warnings].map((error) => ({
    place: at(error.pos[0]),
    message: sentence(error.code, error.message),
  }));
  if (problems.length === 0) {
    for (const offset of repeatedKeys(document.contents)) problems.push({ place: at(offset), message: TWICE });
  }
  if (problems.length > 0) return { value: undefined, problems, place: () => "1:1" };
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    return { value, problems, place: (path, part = "value") => at(offsetOf(document.contents, path, part)) };
  } catch (error) {
    // Too many aliases.
    return refused((error as Error).message);
  }
}

/**
 * Lists and mappings in brackets are counted by the parser's own lexer, which does not recurse: brackets in texts and
 * comments are none. Those without brackets go as deep as their lines are indented, or have marks; also within brackets,
 * where marks without commas between them are a mistake that the parser follows.
 */
function isTooDeep(text: string): boolean {
  if (hasDeepLine(text)) return true;
  let depth = 0;
  let marks = 0;
  let isText = false;
  for (const token of new Lexer().lex(text)) {
    if (isText || token === TEXT_FOLLOWS) {
      isText = token === TEXT_FOLLOWS && !isText;
      continue;
    }
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth = Math.max(0, depth - 1);
    else if (token === "," || token.startsWith("\n") || token.startsWith("\r")) marks = 0;
    else if (token === "-" || token === "?" || token === ":") marks += 1;
    if (depth > DEEPEST || marks > LONGEST_INDENT) return true;
  }
  return false;
}

function hasDeepLine(text: string): boolean {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    let at = start;
    while (at < end && at - start <= LONGEST_INDENT && " -?".includes(text[at]!)) at += 1;
    if (at - start > LONGEST_INDENT) return true;
    start = end + 1;
  }
  return false;
}

/** The first key of each mapping that has it twice, by their positions. The library's own search is quadratic. */
function repeatedKeys(root: unknown): number[] {
  const found: number[] = [];
  const open: unknown[] = [root];
  while (open.length > 0) {
    const node = open.pop();
    if (isSeq(node)) for (const item of node.items) open.push(item);
    if (!isMap(node)) continue;
    const keys = new Set<unknown>();
    for (const { key, value } of node.items) {
      open.push(value);
      if (!isScalar(key)) continue;
      if (keys.has(key.value)) found.push(start(key) ?? 0);
      keys.add(key.value);
    }
  }
  return found.sort((a, b) => a - b);
}

function refused(message: string): YamlDocument {
  return { value: undefined, problems: [{ place: "1:1", message }], place: () => "1:1" };
}

const TWICE = "expected each key once, found one twice";

/** The parser's messages; the common mistakes in this project's words. */
function sentence(code: string, message: string): string {
  if (code === "TAB_AS_INDENT") return "expected spaces, found a tab; YAML is indented with spaces only";
  if (code === "MULTIPLE_DOCS") return "expected one document, found several (---)";
  return `not YAML: ${message}`;
}

function offsetOf(root: unknown, path: KeyPath, part: "key" | "value"): number {
  let node: unknown = root;
  let offset = start(root) ?? 0;
  for (const [depth, step] of path.entries()) {
    const last = depth === path.length - 1;
    if (isMap(node)) {
      const pair = pairsOf(node).get(`${step}`);
      if (pair === undefined) return offset;
      const key = start(pair.key) ?? offset;
      node = pair.value;
      offset = last && part === "key" ? key : (start(node) ?? key);
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = start(node) ?? offset;
    } else return offset;
  }
  return offset;
}

const pairs = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();

/** The first pair of each key. Kept, for as many problems as keys may ask for their places. */
function pairsOf(map: YAMLMap): ReadonlyMap<string, Pair> {
  const known = pairs.get(map);
  if (known !== undefined) return known;
  const found = new Map<string, Pair>();
  for (const pair of map.items) {
    if (isScalar(pair.key) && !found.has(`${pair.key.value}`)) found.set(`${pair.key.value}`, pair);
  }
  pairs.set(map, found);
  return found;
}

function start(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
