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
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type ParseOptions,
  parseAllDocuments,
  parseDocument,
} from "yaml";

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

const MOST_CHARACTERS = 1_000_000;
/** Aliases may stand for this many nodes in all; a YAML bomb's stand for billions. */
const MOST_ALIASES = 100;

/**
 * Lists and mappings within each other. The parser recurses, and where its stack ends while it compiles a regular
 * expression, V8 ends the process: such text must not reach it.
 */
const DEEPEST = 100;
/** Characters before a line's text: indentation, and the dashes of lists within lists. */
const LONGEST_INDENT = 200;

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

type Options = Pick<ParseOptions & DocumentOptions, "lineCounter" | "prettyErrors" | "stringKeys">;

function parseGuarded(text: string, parse: (options: Options) => readonly Document[]): readonly YamlDocument[] {
  if (text.length > MOST_CHARACTERS) {
    return [refused(`expected at most ${MOST_CHARACTERS} characters, found ${text.length}`)];
  }
  if (isTooDeep(text)) return [refused(`expected at most ${DEEPEST} lists and mappings within each other, found more`)];
  const lines = new LineCounter();
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const documents = parse({ lineCounter: lines, prettyErrors: false, stringKeys: true });
  const empty: YamlDocument = { value: null, problems: [], place: () => "1:1" };
  return documents.length === 0 ? [empty] : documents.map((document) => readDocument(document, at));
}

function readDocument(document: Document, at: (offset: number) => string): YamlDocument {
  const problems = [...document.errors, ...document.warnings].map((error) => ({
    place: at(error.pos[0]),
    message: sentence(error.code, error.message),
  }));
  if (problems.length > 0) return { value: undefined, problems, place: () => "1:1" };
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    return { value, problems, place: (path, part = "value") => at(offsetOf(document.contents, path, part)) };
  } catch (error) {
    // Too many aliases.
    return refused((error as Error).message);
  }
}

/** Brackets are counted wherever they stand; no honest text leaves a hundred open. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    depth = bracket === "[" || bracket === "{" ? depth + 1 : Math.max(0, depth - 1);
    if (depth > DEEPEST) return true;
  }
  return text
    .split("\n")
    .some((line) => line.slice(0, LONGEST_INDENT + 1).search(/[^ \-?]/) < 0 && line.length > LONGEST_INDENT);
}

function refused(message: string): YamlDocument {
  return { value: undefined, problems: [{ place: "1:1", message }], place: () => "1:1" };
}

/** The parser's messages; the common mistakes in this project's words. */
function sentence(code: string, message: string): string {
  if (code === "TAB_AS_INDENT") return "expected spaces, found a tab; YAML is indented with spaces only";
  if (code === "DUPLICATE_KEY") return "expected each key once, found one twice";
  if (code === "MULTIPLE_DOCS") return "expected one document, found several (---)";
  return `not YAML: ${message}`;
}

function offsetOf(root: unknown, path: KeyPath, part: "key" | "value"): number {
  let node: unknown = root;
  let offset = start(root) ?? 0;
  for (const [depth, step] of path.entries()) {
    const last = depth === path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === step);
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

function start(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
