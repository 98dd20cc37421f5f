/**
 * Keys and values of sequences that have ended, for those that begin alike: the next question of a chat repeats all that
 * was said before. Each is a cache of one slot; the least recently used ones are given up first.
 */
import type { Model } from "../../../models/index.ts";
import { copySlot, createCache, type KeyValueCache, positionBytes } from "./key-value-cache.ts";

/** Fewer positions are read again faster than they are looked for and copied. */
export const LEAST_SHARED = 16;

/** Where the beginning of a sequence lies. */
export interface SharedPositions {
  readonly cache: KeyValueCache;
  readonly slot: number;
  readonly count: number;
}

export interface KeptPrefixes {
  /** The longest kept beginning of `ids`, at least `LEAST_SHARED` positions; null where there is none. */
  find(ids: readonly number[], isLong: boolean): SharedPositions | null;
  /** Keeps what a slot holds of `ids`, read as a long or a short sequence. */
  keep(ids: readonly number[], isLong: boolean, cache: KeyValueCache, slot: number): void;
}

interface Entry {
  readonly ids: readonly number[];
  readonly isLong: boolean;
  readonly cache: KeyValueCache;
}

/** At most `mostBytes` of keys and values. */
export function openKeptPrefixes(model: Model, mostBytes: number): KeptPrefixes {
  /** The last one is the most recently used. */
  let entries: Entry[] = [];
  const mostPositions = Math.floor(mostBytes / positionBytes(model));
  return {
    find: (ids, isLong) => {
      let best: Entry | null = null;
      let count = LEAST_SHARED - 1;
      for (const entry of entries) {
        if (entry.isLong !== isLong) continue;
        const common = commonLength(entry.ids, ids);
        if (common > count) [best, count] = [entry, common];
      }
      if (best === null) return null;
      const used = best;
      entries = [...entries.filter((entry) => entry !== used), used];
      return { cache: best.cache, slot: 0, count };
    },
    keep: (ids, isLong, cache, slot) => {
      const filled = cache.filled[slot]!;
      if (filled < LEAST_SHARED || filled > mostPositions) return;
      const own = ids.slice(0, filled);
      const alike = (entry: Entry, count: number): boolean =>
        entry.isLong === isLong && commonLength(entry.ids, own) === count;
      const known = entries.find((entry) => entry.ids.length >= filled && alike(entry, filled));
      const others = entries.filter((entry) => entry !== known && !alike(entry, entry.ids.length));
      if (known !== undefined) {
        entries = [...others, known];
        return;
      }
      let positions = others.reduce((sum, entry) => sum + entry.ids.length, filled);
      while (positions > mostPositions) positions -= others.shift()!.ids.length;
      const kept = createCache(model, 1, filled);
      copySlot(cache, slot, kept, 0);
      entries = [...others, { ids: own, isLong, cache: kept }];
    },
  };
}

/** How many ids two sequences have in common from the first on. */
export function commonLength(a: readonly number[], b: readonly number[]): number {
  const shorter = Math.min(a.length, b.length);
  let count = 0;
  while (count < shorter && a[count] === b[count]) count++;
  return count;
}
