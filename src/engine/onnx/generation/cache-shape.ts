/** How large the key-value cache of a batch is, and who has room in it. */
import type { Model } from "../../../models/index.ts";
import type { Answer } from "./answer.ts";
import { positionBytes } from "./key-value-cache.ts";

/** Largest cache of a batch where nothing else is said. */
export const CACHE_BYTES: number = 2 ** 30;
/** More give no more tokens a second: the products are then bound by arithmetic, no longer by reading the weights. */
const MOST_SLOTS = 16;
/** Places ahead of the longest sequence. */
const ROOM_AHEAD = 32;

/** Products of queries and keys of one layer at most, in floats (256 MB), where a long prompt is read in pieces. */
const PIECE_PRODUCTS = 2 ** 26;
const LEAST_PIECE = 64;
const LONGEST_PIECE = 512;

export interface CacheLimits {
  /** Places of a slot at least. */
  readonly least: number;
  /** Bytes of all slots at most; one sequence alone may need more. */
  readonly mostBytes: number;
}

export interface CacheShape {
  readonly slots: number;
  readonly capacity: number;
}

/** A cache that is large enough for a while. */
export function cacheShape(answers: readonly Answer[], { least }: CacheLimits): CacheShape {
  const longest = Math.max(...answers.map(({ ids }) => ids.length));
  const most = Math.max(...answers.map(({ room }) => room));
  const capacity = powerOfTwo(Math.max(least, Math.min(longest + ROOM_AHEAD, most)));
  return { slots: powerOfTwo(answers.length), capacity };
}

/** Whether so many answers, as long as they are now, have room together. */
export function fits(model: Model, answers: readonly Answer[], limits: CacheLimits): boolean {
  if (answers.length <= 1) return true;
  const { slots, capacity } = cacheShape(answers, limits);
  return slots * capacity * positionBytes(model) <= limits.mostBytes;
}

/** The first of those who wait, as many as there is room for beside the others. */
export function fitting(
  model: Model,
  going: readonly Answer[],
  waiting: readonly Answer[],
  limits: CacheLimits,
): readonly Answer[] {
  let count = 0;
  const more = (): boolean => count < waiting.length && going.length + count < MOST_SLOTS;
  while (more() && fits(model, [...going, ...waiting.slice(0, count + 1)], limits)) count++;
  return waiting.slice(0, count);
}

/** Positions of a long prompt that are read at a time. */
export function pieceLength({ config }: Model, capacity: number): number {
  const most = Math.floor(PIECE_PRODUCTS / (config.heads * capacity));
  return Math.max(LEAST_PIECE, Math.min(LONGEST_PIECE, 2 ** Math.floor(Math.log2(most))));
}

/** The smallest power of two that is at least `count`. */
export function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}
