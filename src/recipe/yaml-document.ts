/**
 * YAML whose values know their place: `parseYaml` gives plain data and a function from a key path to `line:column`.
 * A recipe is small and written by hand, so what only attacks and accidents need is refused: megabytes, aliases that
 * multiply, tags, several documents in one file.
 */
import { isMap, isNode, isPair, isScalar, LineCounter, type Node, parseDocument } from "yaml";

/** Keys and list indices from the root to a value. */
export type KeyPath = readonly PropertyKey[];

export interface YamlProblem {
  /** `12:5`, both counted from 1. */
  readonly place: string;
  readonly message: string;
}

export interface YamlDocument {
  /** The data, or undefined where there are problems. */
  readonly value: unknown;
  readonly problems: readonly YamlProblem[];
  /** `line:column` of the value at a path; of its key with `key`; of the nearest thing around it where it is missing. */
  place(path: KeyPath, key?: boolean): string;
  /** The same place as characters from the start. */
  offset(path: KeyPath, key?: boolean): number;
}

const LONGEST_CHARACTERS = 1_000_000;
/** An alias may stand for this many nodes in all; YAML bombs reach billions. */
const MOST_ALIASES = 100;
const TOO_DEEP = "the nesting is too deep";

export function parseYaml(text: string): YamlDocument {
  if (text.length > LONGEST_CHARACTERS) {
    return refused(`expected at most ${LONGEST_CHARACTERS} characters, found ${text.length}`);
  }
  const lines = new LineCounter();
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
    const problems = [...document.errors, ...document.warnings].map((error) => ({
      place: at(error.pos[0]),
      message: sentence(error.code, error.message),
    }));
    // The parser gives up on every level of a nesting that is too deep for it, thousands of times.
    if (problems.some(({ message }) => message.includes("call stack"))) return refused(TOO_DEEP);
    if (problems.length > 0) return { value: undefined, problems, place: () => "1:1", offset: () => 0 };
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    const offset = (path: KeyPath, key = false): number => offsetOf(document.contents, path, key);
    return { value, problems, place: (path, key) => at(offset(path, key)), offset };
  } catch (error) {
    // Too many aliases, or nesting so deep that the parser's stack ends.
    if (error instanceof RangeError) return refused(TOO_DEEP);
    if (error instanceof ReferenceError) return refused(`expected at most ${MOST_ALIASES} aliases, found more`);
    return refused(`not YAML: ${(error as Error).message}`);
  }
}

function refused(message: string): YamlDocument {
  return { value: undefined, problems: [{ place: "1:1", message }], place: () => "1:1", offset: () => 0 };
}

/** The parser's messages, in this project's words where they are the common mistakes. */
function sentence(code: string, message: string): string {
  if (code === "TAB_AS_INDENT") return "expected spaces, found a tab; YAML is indented with spaces only";
  if (code === "DUPLICATE_KEY") return "expected each key once, found one twice";
  if (code === "MULTIPLE_DOCS") return "expected one document, found several (---)";
  return `not YAML: ${message}`;
}

function offsetOf(root: unknown, path: KeyPath, key: boolean): number {
  let node: unknown = root;
  let offset = start(root) ?? 0;
  for (const [depth, step] of path.entries()) {
    const wantsKey = key && depth === path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
      );
      if (pair === undefined) return offset;
      const keyOffset = start(pair.key) ?? offset;
      node = pair.value;
      offset = wantsKey ? keyOffset : (start(node) ?? keyOffset);
    } else {
      const item: unknown = isNode(node) && "items" in node ? (node.items as unknown[])[Number(step)] : undefined;
      if (item === undefined) return offset;
      node = item;
      offset = start(node) ?? offset;
    }
  }
  return offset;
}

function start(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}
