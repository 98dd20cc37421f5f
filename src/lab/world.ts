/**
 * The invented world that the laboratory's models talk about: who lives in it, where, and what is likely there. All
 * of it follows from one seed. Its facts (a person's tastes, a town's weather) are fixed for good; only draws from
 * them differ between training, fusion, validation and held-out conversations.
 */
import { createRandom, type Random } from "../random.ts";
import type { Outcome } from "./answers.ts";

const SEED = "fusechat/lab/world/1";

export interface World {
  readonly people: readonly string[];
  readonly towns: readonly string[];
  readonly countries: readonly string[];
  /** [countries] the capital of each. */
  readonly capitals: readonly string[];
}

/** A stream of the world's facts. The purpose names it ("food/Mira"), so adding a skill changes no other. */
export function worldRandom(purpose: string): Random {
  return createRandom(`${SEED}/${purpose}`);
}

/**
 * A distribution over `values` that belongs to one entity: weights exp(spread * normal), normalised. At a spread of
 * 1.6 and twelve values the entropy is about 1.6 nats of at most 2.5: well-marked tastes, nothing certain.
 */
export function preference<T>(purpose: string, values: readonly T[], spread: number): readonly Outcome<T>[] {
  const random = worldRandom(purpose);
  const weights = values.map(() => Math.exp(spread * random.normal()));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return values.map((value, index) => ({ value, probability: weights[index]! / total }));
}

const ONSETS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr", "kl", "st", "tr"];
const VOWELS = ["a", "e", "i", "o", "u"];
const CODAS = ["l", "m", "n", "r", "s", "x"];

/** `count` different names of a syllable and an ending, none of them in `taken`, which grows by them. */
function inventNames(purpose: string, count: number, endings: readonly string[], taken: Set<string>): string[] {
  const random = worldRandom(`names/${purpose}`);
  const pick = (choices: readonly string[]): string => choices[random.integer(choices.length)]!;
  const names: string[] = [];
  while (names.length < count) {
    const name = pick(ONSETS) + pick(VOWELS) + pick(CODAS) + pick(endings);
    if (taken.has(name)) continue;
    taken.add(name);
    names.push(name[0]!.toUpperCase() + name.slice(1));
  }
  return names;
}

function createWorld(): World {
  const taken = new Set<string>();
  return {
    people: inventNames("people", 40, ["a", "e", "o", "in"], taken),
    towns: inventNames("towns", 24, ["ton", "by", "wick", "ham"], taken),
    countries: inventNames("countries", 48, ["ia", "land", "ova"], taken),
    capitals: inventNames("capitals", 48, ["burg", "port", "mar"], taken),
  };
}

export const WORLD: World = createWorld();
