/**
 * Prompts as sparse vectors of unit length: the words and pairs of neighbouring words that many of them have. A word of
 * a few prompts, such as a name, would gather what it is asked about and not how it is asked, and cannot carry a
 * group; one of most prompts tells nothing apart (Salton and Buckley, "Term-weighting approaches in automatic text
 * retrieval", 1988).
 */
import type { Conversation } from "../../data/conversation.ts";

/** N vectors, end to end. */
export interface SparseVectors {
  /** [N+1] entries of vector n are start[n] .. start[n+1]-1. */
  readonly start: Int32Array;
  /** Ascending within a vector, each below `features`. */
  readonly feature: Int32Array;
  readonly weight: Float64Array;
  readonly features: number;
}

/** Beginnings tell what is asked; whole documents are pasted further behind. */
const PROMPT_CHARACTERS = 2000;
/** The most frequent features that are kept: every group's centre has as many entries. */
const FEATURES = 4096;
/** A feature is in this share of the prompts at least, and in two. */
const RAREST_SHARE = 0.005;
const COMMONEST_SHARE = 0.7;

export function promptVectors(conversations: readonly Conversation[]): SparseVectors {
  const count = conversations.length;
  const frequency = new Map<string, number>();
  for (const conversation of conversations) {
    for (const feature of featuresOf(conversation)) frequency.set(feature, (frequency.get(feature) ?? 0) + 1);
  }
  const [rarest, commonest] = [Math.max(2, RAREST_SHARE * count), COMMONEST_SHARE * count];
  const kept = [...frequency]
    .filter(([, found]) => found >= rarest && found <= commonest)
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, FEATURES);
  const known = new Map(kept.map(([feature], index) => [feature, index]));
  const start = new Int32Array(count + 1);
  const feature: number[] = [];
  const weight: number[] = [];
  for (const [n, conversation] of conversations.entries()) {
    const own = [...featuresOf(conversation)].flatMap((text) => known.get(text) ?? []).sort((a, b) => a - b);
    const length = Math.sqrt(own.length);
    for (const index of own) {
      feature.push(index);
      weight.push(1 / length);
    }
    start[n + 1] = feature.length;
  }
  return { start, feature: Int32Array.from(feature), weight: Float64Array.from(weight), features: kept.length };
}

/** Words, signs and pairs of neighbours of what the user says. Numbers are all one word: which one it is matters little. */
function featuresOf({ turns }: Conversation): Set<string> {
  let text = "";
  for (const { role, content } of turns) {
    if (role === "user" && text.length < PROMPT_CHARACTERS) text += `\n${content.slice(0, PROMPT_CHARACTERS)}`;
  }
  const words = text.slice(0, PROMPT_CHARACTERS).toLowerCase().match(WORDS) ?? [];
  const features = new Set<string>();
  for (const [index, found] of words.entries()) {
    const word = NUMBER.test(found) ? "0" : found;
    features.add(word);
    const next = words[index + 1];
    if (next !== undefined) features.add(`${word} ${NUMBER.test(next) ? "0" : next}`);
  }
  return features;
}

/** Scripts without spaces give a word a letter; pairs of neighbours are their words. */
const WORDS =
  /\p{N}+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]|[\p{L}\p{M}]+|[^\s\p{L}\p{M}\p{N}]/gu;
const NUMBER = /^\p{N}/u;
