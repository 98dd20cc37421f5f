/**
 * Entries of the inputs that are no numbers, for those who merge all the same. Such an entry becomes the base's, as if
 * its model had not moved it; without a base, or where the base's own is none, the mean of what the other models have
 * there; and 0 where no model has a number.
 */
import { CHUNK_ENTRIES, type Chunk } from "./chunk.ts";

/** Repairs a chunk in place and adds to `counts`: repaired entries of every model, and of a base behind them. */
export function repairChunk({ models, base, count }: Chunk, counts: number[]): void {
  const ends = models.length;
  for (let i = 0; i < count; i++) {
    let sum = 0;
    let numbers = 0;
    for (let place = i; place < ends; place += CHUNK_ENTRIES) {
      if (!Number.isFinite(models[place]!)) continue;
      sum += models[place]!;
      numbers++;
    }
    const mean = numbers === 0 ? 0 : sum / numbers;
    if (base.length > 0 && !Number.isFinite(base[i]!)) {
      base[i] = mean;
      counts[ends / CHUNK_ENTRIES]!++;
    }
    if (numbers * CHUNK_ENTRIES === ends) continue;
    const instead = base.length > 0 ? base[i]! : mean;
    for (let place = i, j = 0; place < ends; place += CHUNK_ENTRIES, j++) {
      if (Number.isFinite(models[place]!)) continue;
      models[place] = instead;
      counts[j]!++;
    }
  }
}
