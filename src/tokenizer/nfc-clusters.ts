/**
 * Byte offsets through Unicode normal form C. The text is cut into clusters, each from a character that cannot join
 * what precedes it to the next such one. NFC works inside clusters only (UAX #15, section 9: such characters are
 * stable boundaries), so a cluster that it leaves alone maps byte by byte, and of a changed one the two ends are known.
 *
 * All Unicode knowledge is asked of the tokenizer library's own normalisers: the tables of JavaScript's
 * `String.normalize` are of another Unicode version.
 */
import { nfcNormalizer, nfdNormalizer } from "tokenizers";

const nfcLibrary = nfcNormalizer();
const nfdLibrary = nfdNormalizer();

export function nfc(text: string): string {
  return nfcLibrary.normalizeString(text);
}

function nfd(text: string): string {
  return nfdLibrary.normalizeString(text);
}

/** A text in normal form C, with the way back. */
export interface NormalisedText {
  readonly bytes: Uint8Array;
  /** [bytes + 1] offset in the original bytes; an offset inside a changed cluster moves to the cluster's end. */
  readonly origin: Int32Array;
}

/** Collects stretches of a text, some normalised, some taken as they are (added tokens), into one `NormalisedText`. */
export function normaliseStretches(
  stretches: readonly { readonly text: string; readonly verbatim: boolean }[],
): NormalisedText {
  const clusters = stretches.flatMap(({ text, verbatim }) =>
    (verbatim ? [text] : clustersOf(text)).map((original) => ({
      original,
      normal: verbatim || isAlone(original) ? original : nfc(original),
    })),
  );
  const bytes = Buffer.from(clusters.map((cluster) => cluster.normal).join(""), "utf8");
  const origin = new Int32Array(bytes.length + 1);
  let from = 0;
  let to = 0;
  for (const { original, normal } of clusters) {
    const originalBytes = Buffer.byteLength(original, "utf8");
    const normalBytes = Buffer.byteLength(normal, "utf8");
    const end = from + originalBytes;
    for (let i = 0; i < normalBytes; i++) origin[to + i] = original === normal ? from + i : i === 0 ? from : end;
    from = end;
    to += normalBytes;
  }
  origin[bytes.length] = from;
  return { bytes, origin };
}

/** No character below joins another, so that one of them by itself is in normal form: most of most texts. */
const FIRST_JOINING = "\u0300";

function isAlone(cluster: string): boolean {
  return cluster.length === 1 && cluster < FIRST_JOINING;
}

/** The clusters of a text, in order; joined they give the text. */
export function clustersOf(text: string): string[] {
  const clusters: string[] = [];
  let start = 0;
  let position = 0;
  for (const character of text) {
    if (position > start && !joinsPrevious(character)) {
      clusters.push(text.slice(start, position));
      start = position;
    }
    position += character.length;
  }
  if (position > start) clusters.push(text.slice(start));
  return clusters;
}

const joining = new Map<string, boolean>();

/**
 * True where the first character of its decomposition (itself, mostly) has a combining class other than 0 or is the
 * second half of a canonical composition. The first matters: a character of class 0 can decompose into joining ones.
 */
function joinsPrevious(character: string): boolean {
  if (character < FIRST_JOINING) return false;
  const known = joining.get(character);
  if (known !== undefined) return known;
  const first = String.fromCodePoint(nfd(character).codePointAt(0)!);
  const joins = hasCombiningClass(first) || secondHalves().has(first);
  joining.set(character, joins);
  return joins;
}

/**
 * The library tells no combining classes, but canonical ordering shows them: a mark of class above 1 changes places
 * with a following U+0334 (class 1), one of class 1 to 231 with a preceding U+0315 (class 232).
 */
function hasCombiningClass(character: string): boolean {
  const lowest = "\u0334";
  const high = "\u0315";
  return nfd(character + lowest) !== character + lowest || nfd(high + character) !== high + character;
}

let seconds: ReadonlySet<string> | undefined;

/** All last characters of decompositions that NFC composes again; computed once, some 0.1 s, and only when needed. */
function secondHalves(): ReadonlySet<string> {
  if (seconds !== undefined) return seconds;
  const characters: string[] = [];
  for (let code = 0xa0; code < 0x30000; code++) {
    if (code < 0xd800 || code > 0xdfff) characters.push(String.fromCodePoint(code));
  }
  // A line feed between the characters keeps them from joining each other.
  const decomposed = nfd(characters.join("\n")).split("\n");
  const composed = nfc(decomposed.join("\n")).split("\n");
  const found = new Set<string>();
  for (const [index, character] of characters.entries()) {
    const parts = decomposed[index]!;
    if (parts === character || composed[index] !== character) continue;
    found.add([...parts].at(-1)!);
  }
  seconds = found;
  return found;
}
