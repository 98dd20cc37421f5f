/**
 * What `JSON.parse` does not tell: where a text stops being JSON (its messages name a position only sometimes), and
 * whether a name comes twice in one object. It keeps the last of them in silence, other readers the first, so a file
 * that says two things is refused where it matters which one is meant.
 */

/** White space and then one token of RFC 8259: a mark, a string, or a number or word. */
const TOKEN =
  /[ \t\n\r]*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.]))/uy;

/** Position, in UTF-16 units, of the first thing that makes `text` no JSON; its length where the text ends too early. */
export function jsonErrorPosition(text: string): number {
  const open: string[] = [];
  let expected: "value" | "value or ]" | "name or }" | "name" | ":" | "," | "end" = "value";
  let position = 0;
  for (;;) {
    TOKEN.lastIndex = position;
    const match = TOKEN.exec(text);
    const start = position + /^[ \t\n\r]*/.exec(text.slice(position, position + 10000))![0].length;
    if (match === null) return start;
    const mark = match[1] ?? (match[2] === undefined ? "word" : "string");
    if (mark === "{" || mark === "[") {
      if (!expected.startsWith("value")) return start;
      open.push(mark);
      expected = mark === "{" ? "name or }" : "value or ]";
    } else if (mark === "}" || mark === "]") {
      const closes = open.pop() === (mark === "}" ? "{" : "[");
      if (!closes || !(expected === "," || expected.endsWith(mark))) return start;
      expected = open.length > 0 ? "," : "end";
    } else if (mark === ",") {
      if (expected !== ",") return start;
      expected = open.at(-1) === "{" ? "name" : "value";
    } else if (mark === ":") {
      if (expected !== ":") return start;
      expected = "value";
    } else if (mark === "string" && expected.startsWith("name")) {
      expected = ":";
    } else {
      if (!expected.startsWith("value")) return start;
      expected = open.length > 0 ? "," : "end";
    }
    position = TOKEN.lastIndex;
  }
}

/** The first repeated key of any object in `text`, which must be valid JSON, and its position in UTF-16 units. */
export function duplicateKey(text: string): { readonly key: string; readonly position: number } | undefined {
  const open: (Set<string> | null)[] = [];
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case "{":
        open.push(new Set());
        break;
      case "[":
        open.push(null);
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case '"': {
        const start = i;
        i = endOfString(text, start);
        const keys = open.at(-1);
        if (keys && isKey(text, i + 1)) {
          const key = JSON.parse(text.slice(start, i + 1)) as string;
          if (keys.has(key)) return { key, position: start };
          keys.add(key);
        }
        break;
      }
    }
  }
  return undefined;
}

/** Position of the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i;
}

function isKey(text: string, after: number): boolean {
  let i = after;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\t" || text[i] === "\r") i++;
  return text[i] === ":";
}

/** JSON that does not depend on the order of keys. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(",")}}`;
}
