/**
 * Markdown of answers as elements: the part of CommonMark that models write. Whatever is not understood stands as it was
 * written; links lead to http and https only.
 */
import { element } from "./elements.js";

const FENCE = /^ {0,3}(`{3,}|~{3,}) *([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6}) +(.*?)#* *$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)]) +(.*)$/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?(.*)$/;

/** @param {string} text @returns {Node[]} */
export function markdown(text) {
  return blocks(text.split("\n"));
}

/** @param {string[]} lines @returns {Node[]} */
function blocks(lines) {
  /** @type {Node[]} */
  const made = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (line.trim() === "") at++;
    else if (FENCE.test(line)) at = fence(lines, at, made);
    else if (HEADING.test(line)) {
      const [, marks, words] = /** @type {RegExpExecArray} */ (HEADING.exec(line));
      // The page has headings of its own above these.
      made.push(element(`h${Math.min(6, marks.length + 3)}`, {}, ...spans(words)));
      at++;
    } else if (RULE.test(line)) {
      made.push(element("hr"));
      at++;
    } else if (QUOTE.test(line)) {
      const inner = [];
      while (at < lines.length && QUOTE.test(lines[at])) inner.push(lines[at++].replace(QUOTE, "$1"));
      made.push(element("blockquote", {}, ...blocks(inner)));
    } else if (ITEM.test(line)) at = list(lines, at, made);
    else {
      const words = [];
      while (at < lines.length && lines[at].trim() !== "" && !startsBlock(lines[at])) words.push(lines[at++].trim());
      made.push(element("p", {}, ...spans(words.join("\n"))));
    }
  }
  return made;
}

/** @param {string} line */
function startsBlock(line) {
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((pattern) => pattern.test(line));
}

/** A block of code up to its closing fence, or to the end while it is still written. */
function fence(/** @type {string[]} */ lines, /** @type {number} */ at, /** @type {Node[]} */ made) {
  const [, marks] = /** @type {RegExpExecArray} */ (FENCE.exec(lines[at]));
  const code = [];
  let next = at + 1;
  while (next < lines.length && !lines[next].trimStart().startsWith(marks)) code.push(lines[next++]);
  made.push(element("pre", { tabindex: 0 }, element("code", {}, code.join("\n"))));
  return next + 1;
}

/** Items of one kind; what is indented below an item belongs to it. */
function list(/** @type {string[]} */ lines, /** @type {number} */ at, /** @type {Node[]} */ made) {
  const [, indent, mark] = /** @type {RegExpExecArray} */ (ITEM.exec(lines[at]));
  const isOrdered = /\d/.test(mark);
  const items = [];
  let next = at;
  while (next < lines.length) {
    const found = ITEM.exec(lines[next]);
    if (found === null || found[1].length !== indent.length || /\d/.test(found[2]) !== isOrdered) break;
    const inner = [found[3]];
    const width = lines[next].length - found[3].length;
    next++;
    while (next < lines.length && (lines[next].trim() === "" || indentOf(lines[next]) > indent.length)) {
      inner.push(lines[next].slice(Math.min(width, indentOf(lines[next]))));
      next++;
    }
    items.push(element("li", {}, ...tight(blocks(inner))));
  }
  made.push(element(isOrdered ? "ol" : "ul", isOrdered ? { start: Number.parseInt(mark, 10) } : {}, ...items));
  return next;
}

/** @param {string} line */
function indentOf(line) {
  return line.length - line.trimStart().length;
}

/** An item of one paragraph needs none. @param {Node[]} nodes */
function tight(nodes) {
  const [first, ...rest] = nodes;
  if (!(first instanceof HTMLParagraphElement)) return nodes;
  return [...first.childNodes, ...rest];
}

const SPANS = [
  { pattern: /`([^`]+)`/, make: (/** @type {string[]} */ [, code]) => element("code", {}, code) },
  {
    pattern: /\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/,
    make: (/** @type {string[]} */ [, words, href]) =>
      element("a", { href, rel: "noopener noreferrer", target: "_blank" }, ...spans(words)),
  },
  {
    pattern: /\*\*(\S|\S.*?\S)\*\*/s,
    make: (/** @type {string[]} */ [, words]) => element("strong", {}, ...spans(words)),
  },
  {
    pattern: /(?<![\w*])\*(\S|\S.*?\S)\*(?![\w*])/s,
    make: (/** @type {string[]} */ [, words]) => element("em", {}, ...spans(words)),
  },
  { pattern: /\n/, make: () => element("br") },
];

/** @param {string} text @returns {(Node | string)[]} */
function spans(text) {
  let first = null;
  for (const { pattern, make } of SPANS) {
    const found = pattern.exec(text);
    if (found !== null && (first === null || found.index < first.found.index)) first = { found, make };
  }
  if (first === null) return text === "" ? [] : [text];
  const { found, make } = first;
  const before = text.slice(0, found.index);
  return [...(before === "" ? [] : [before]), make(found), ...spans(text.slice(found.index + found[0].length))];
}
