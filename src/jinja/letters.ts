/** Upper, lower and title case, and what kind of characters a text has, as Python's `str` tells it. */

/** Letters whose title case is neither their upper case nor made from it: DŽ, LJ, NJ and DZ. */
const DIGRAPHS: ReadonlyMap<string, string> = new Map(
  ["\u01c4\u01c5\u01c6", "\u01c7\u01c8\u01c9", "\u01ca\u01cb\u01cc", "\u01f1\u01f2\u01f3"].flatMap((three) =>
    Array.from(three, (letter) => [letter, three[1]!] as const),
  ),
);

/** A character in title case: ß is Ss, ﬁ is Fi, ᾳ is ᾼ. */
function titleCase(character: string): string {
  const digraph = DIGRAPHS.get(character);
  if (digraph !== undefined) return digraph;
  if (/^[\u1f80-\u1faf\u1fb3\u1fbc\u1fc3\u1fcc\u1ff3\u1ffc]$/.test(character)) {
    // Greek with a iota below keeps it there.
    return character
      .toLowerCase()
      .normalize("NFD")
      .replace(/^./u, (letter) => letter.toUpperCase())
      .normalize("NFC");
  }
  const upper = Array.from(character.toUpperCase());
  if (upper.length === 1) return upper[0]!;
  if (/^[\u1fb2-\u1ff7]$/.test(character)) return upper.join("").replace(/\u0399$/, "\u0345");
  // Georgian has upper case, but no title case of its own, and neither do letters that only a mark precedes.
  const first = upper.findIndex((letter) => /\p{L}/u.test(letter) && letter !== "\u02bc");
  return upper.map((letter, index) => (index > first ? letter.toLowerCase() : letter)).join("");
}

/** `str.capitalize`: the first character in title case, the others in lower case. */
export function capitalize(text: string): string {
  const first = Array.from(text.slice(0, 2))[0] ?? "";
  return titleOf(first) + text.toLowerCase().slice(first.toLowerCase().length);
}

/** `str.title`: a word begins wherever a letter follows what is none, so that an apostrophe begins one. */
export function titled(text: string): string {
  const lower = lowerCase(text);
  let isInWord = false;
  return Array.from(text, (character) => {
    const inside = lower(character);
    const result = isInWord ? inside : titleOf(character);
    isInWord = /\p{Cased}/u.test(character);
    return result;
  }).join("");
}

export function swapCase(text: string): string {
  const lower = lowerCase(text);
  return Array.from(text, (character) => {
    const lowered = lower(character);
    if (/\p{Uppercase}/u.test(character)) return lowered;
    return /\p{Lowercase}/u.test(character) ? character.toUpperCase() : character;
  }).join("");
}

/** Lower case of a text's characters, asked for in their order: a sigma at the end of a word has a form of its own. */
function lowerCase(text: string): (character: string) => string {
  const sigmas = text.toLowerCase().match(/[\u03c2\u03c3]/g) ?? [];
  let next = 0;
  return (character) => {
    const isSigma = /[\u03a3\u03c2\u03c3]/.test(character);
    return isSigma ? sigmas[next++]! : character.toLowerCase();
  };
}

function titleOf(character: string): string {
  // The upper case of Georgian is for whole words.
  return /^[\u10d0-\u10ff]$/.test(character) ? character : titleCase(character);
}

/** Digits that are no decimal ones: superscripts, circled ones and their like. */
const OTHER_DIGITS =
  "\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}\u{1f100}-\u{1f10a}";

export type CharacterClass = "isalnum" | "isalpha" | "isdecimal" | "isdigit";

const CLASSES: Readonly<Record<CharacterClass, RegExp>> = {
  isalnum: /^[\p{L}\p{N}]+$/u,
  isalpha: /^\p{L}+$/u,
  isdecimal: /^\p{Nd}+$/u,
  isdigit: new RegExp(`^[\\p{Nd}${OTHER_DIGITS}]+$`, "u"),
};

/** Whether all characters are of the class, and there are some. */
export function areAll(kind: CharacterClass, text: string): boolean {
  return CLASSES[kind].test(text);
}

export function isLower(text: string): boolean {
  return /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);
}

export function isUpper(text: string): boolean {
  return /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
}
