/** Python's idea of white space: U+FEFF is none, U+001C to U+001F and U+0085 are; JavaScript's `\s` says the opposite. */

/** Inside a class of a regular expression. */
export const PYTHON_SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** The single characters at which `str.splitlines` cuts, in the same form. */
export const PYTHON_LINE_END = "\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029";

const SPACES: ReadonlySet<string> = new Set(
  Array.from({ length: 0x3001 }, (_, code) => String.fromCharCode(code)).filter((character) =>
    new RegExp(`[${PYTHON_SPACE}]`).test(character),
  ),
);

/** `str.strip`, of white space where no characters are given. */
export function stripPython(text: string, characters?: string, left = true, right = true): string {
  const set = characters === undefined ? SPACES : new Set(characters);
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
