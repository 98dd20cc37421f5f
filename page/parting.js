/** Where answers that were drawn greedily part, and the mark there. */
import { element } from "./elements.js";
import { markdown } from "./markdown.js";

/** No character of any text: it stands for the place while Markdown becomes elements. */
const MARK = "\u{F8FF}";

/**
 * The place at which the texts are no longer the same, at the beginning of its word; -1 where all are equal.
 * @param {readonly string[]} texts
 */
export function partingPlace(texts) {
  const [first, ...others] = texts;
  const isApart = others.some((text) => text !== first);
  if (first === undefined || !isApart) return -1;
  let place = 0;
  while (others.every((text) => place < text.length && text[place] === first[place])) place++;
  while (place > 0 && /\S/.test(first[place - 1])) place--;
  return place;
}

/** What stands there. @param {string} text @param {number} place */
export function wordAt(text, place) {
  return /^\s*\S+/.exec(text.slice(place))?.[0].trim() ?? null;
}

/** Markdown as elements, with a mark on the word at `place`, unless that would change them. @param {string} text @param {number} place @returns {Node[]} */
export function markedAt(text, place) {
  const plain = markdown(text);
  if (place < 0 || wordAt(text, place) === null || text.includes(MARK)) return plain;
  const marked = element("div", {}, ...markdown(`${text.slice(0, place)}${MARK}${text.slice(place)}`));
  if (
    marked.textContent?.replace(MARK, "") !==
    element("div", {}, ...plain.map((node) => node.cloneNode(true))).textContent
  )
    return plain;
  const walker = document.createTreeWalker(marked, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const [before, after] = (node.textContent ?? "").split(MARK);
    if (after === undefined) continue;
    const word = /^\s*\S*/.exec(after)?.[0] ?? "";
    const mark = element("mark", { title: "Here the answers part" }, word);
    /** @type {ChildNode} */ (node).replaceWith(before, mark, after.slice(word.length));
    break;
  }
  return [...marked.childNodes];
}
