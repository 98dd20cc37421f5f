/**
 * Draws the next token from sorted candidates: temperature, then top-k, then nucleus (Holtzman et al., "The curious
 * case of neural text degeneration", section 3.1), in the order transformers applies them. Greedy takes the first.
 */
import type { Random } from "../random.ts";
import type { GenerateOptions } from "./engine.ts";

export type SamplingOptions = Pick<GenerateOptions, "temperature" | "topP" | "topK" | "bannedFrom">;

/** How many candidates `chooseToken` must be given so that what it returns is exact. */
export function candidatesNeeded(vocabulary: number, options: SamplingOptions): number {
  const banned = Math.max(0, vocabulary - (options.bannedFrom ?? vocabulary));
  if (options.temperature === 0) return Math.min(vocabulary, 1 + banned);
  return options.topK > 0 ? Math.min(vocabulary, options.topK + banned) : vocabulary;
}

/**
 * `id` and `logp` are the most probable tokens, descending, and their log-probabilities (nats) at temperature 1, up to
 * a common constant. Returns -1 where every candidate is banned.
 */
export function chooseToken(id: Int32Array, logp: Float32Array, options: SamplingOptions, random: Random): number {
  const bannedFrom = options.bannedFrom ?? Number.POSITIVE_INFINITY;
  const limit = options.temperature === 0 ? 1 : options.topK > 0 ? options.topK : Number.POSITIVE_INFINITY;
  const kept: number[] = [];
  for (let k = 0; k < id.length && kept.length < limit; k++) {
    if (id[k]! < bannedFrom) kept.push(k);
  }
  if (kept.length === 0) return -1;
  if (options.temperature === 0) return id[kept[0]!]!;
  const best = logp[kept[0]!]!;
  const mass = kept.map((k) => Math.exp((logp[k]! - best) / options.temperature));
  const total = mass.reduce((sum, value) => sum + value, 0);
  // The nucleus ends with the token that reaches the wanted share.
  let nucleus = 0;
  let count = 0;
  while (count < mass.length && (count === 0 || nucleus < options.topP * total)) nucleus += mass[count++]!;
  let left = random.next() * nucleus;
  for (let k = 0; k < count; k++) {
    left -= mass[k]!;
    if (left < 0) return id[kept[k]!]!;
  }
  return id[kept[count - 1]!]!;
}
