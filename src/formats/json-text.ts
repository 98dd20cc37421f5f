/**
 * What `JSON.parse` does not tell: whether a name comes twice in one object. It keeps the last of them in silence, other
 * readers the first, so a file that says two things is refused where it matters which one is meant.
 */

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
