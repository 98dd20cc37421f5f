/**
 * Byte-pair merges learned from a text (Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with
 * Subword Units", 2016): start from single symbols and merge the most frequent neighbours again and again. The text
 * is a few thousand short conversations, so counting all pairs anew after each merge costs seconds at most.
 */

/** Two symbols that become one. */
export type Merge = readonly [string, string];

/**
 * `words` maps a pre-tokenised word, as its symbols joined by NUL, to how often it occurs; no merge crosses a word's
 * border. Returns up to `count` merges, most frequent first; ties go to the pair that is lower in code unit order, so
 * the same text gives the same merges. Pairs seen less than twice are not merged.
 */
export function learnMerges(words: ReadonlyMap<string, number>, count: number): Merge[] {
  const pieces: Piece[] = [...words].map(([word, occurrences]) => ({ symbols: word.split("\0"), occurrences }));
  const merges: Merge[] = [];
  while (merges.length < count) {
    const best = mostFrequentPair(pieces);
    if (best === undefined) break;
    merges.push(best);
    for (const piece of pieces) piece.symbols = mergeSymbols(piece.symbols, best);
  }
  return merges;
}

interface Piece {
  symbols: readonly string[];
  readonly occurrences: number;
}

function mostFrequentPair(pieces: readonly Piece[]): Merge | undefined {
  const counts = new Map<string, number>();
  for (const { symbols, occurrences } of pieces) {
    for (let i = 1; i < symbols.length; i++) {
      const pair = `${symbols[i - 1]}\0${symbols[i]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + occurrences);
    }
  }
  let best: string | undefined;
  let bestCount = 1;
  for (const [pair, pairCount] of counts) {
    if (pairCount > bestCount || (pairCount === bestCount && best !== undefined && pair < best)) {
      best = pair;
      bestCount = pairCount;
    }
  }
  return best?.split("\0") as Merge | undefined;
}

/** Replaces every occurrence of the pair, from the left. */
export function mergeSymbols(symbols: readonly string[], [left, right]: Merge): readonly string[] {
  if (!symbols.includes(left)) return symbols;
  const merged: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      merged.push(left + right);
      i++;
    } else {
      merged.push(symbols[i]!);
    }
  }
  return merged;
}

/** Counts the words that `pattern` cuts a text into, each spelt as symbols. */
export function countWords(
  texts: readonly string[],
  pattern: RegExp,
  spell: (word: string) => readonly string[],
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(pattern)) {
      const key = spell(word).join("\0");
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}
