/**
 * Fidelity: how near a mapped source distribution comes to the true pivot distribution, in nats. Both are known where
 * a byte model with known probabilities stands in for the two models (`fidelity/byte-model.ts`): P is what it induces
 * for the pivot's tokenizer, S the 10 most probable tokens of what it induces for the source's. A strategy turns S into
 * Q with mass m, and is judged by
 *
 *   KL(P || Q'),  Q' = 0.99 (Q + (1 - m) B) + 0.01 B,   and   TV(P, Q / m),
 *
 * B = add-one frequencies of the pivot's tokens: mass without a place is not an error of its own, but it is not
 * information either.
 */
import { bootstrapMean } from "../statistics/bootstrap.ts";
import type { Interval } from "../statistics/interval.ts";
import type { Encoding } from "../tokenizer/tokenizer.ts";
import { type CoStarts, createCoStartCounter } from "./co-starts.ts";
import type { SparseMap } from "./sparse-map.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Tokens of the source that a row keeps. */
export const SOURCE_TOKENS = 10;
/** Share of Q' that is always the background, so that a token Q leaves out costs a finite number of nats. */
const BACKGROUND_SHARE = 0.01;

/** Probability masses by token id, in descending order of mass where an order matters. */
export type Masses = ReadonlyMap<number, number>;

/** What a mapped row is worth. */
export interface RowFidelity {
  /** KL(P || Q'), nats. */
  readonly kl: number;
  /** Total variation of P and Q / m; 1 where nothing was kept. */
  readonly tv: number;
  /** m. */
  readonly kept: number;
}

/** Means over rows. */
export interface Fidelity {
  readonly kl: Interval;
  readonly tv: Interval;
  readonly kept: Interval;
}

export function rowFidelity(truth: Masses, mapped: Masses, background: Float64Array): RowFidelity {
  let kept = 0;
  for (const mass of mapped.values()) kept += mass;
  let kl = 0;
  let distance = 0;
  for (const [id, p] of truth) {
    const q = mapped.get(id) ?? 0;
    const b = background[id]!;
    kl += p * Math.log(p / ((1 - BACKGROUND_SHARE) * (q + (1 - kept) * b) + BACKGROUND_SHARE * b));
    distance += Math.abs(p - (kept > 0 ? q / kept : 0));
  }
  for (const [id, q] of mapped) if (!truth.has(id)) distance += q / kept;
  return { kl, tv: kept > 0 ? distance / 2 : 1, kept };
}

/** Means over rows; `seed` is any text. */
export function meanFidelity(rows: readonly RowFidelity[], seed: string): Fidelity {
  const mean = (key: keyof RowFidelity): Interval =>
    bootstrapMean(
      rows.map((row) => row[key]),
      `fidelity/${seed}/${key}`,
    );
  return { kl: mean("kl"), tv: mean("tv"), kept: mean("kept") };
}

/** The `keep` most frequent tokens with their shares of all; ties to the lower id. */
export function mostFrequent(counts: Masses, keep: number = Infinity): Map<number, number> {
  let total = 0;
  for (const count of counts.values()) total += count;
  const ordered = [...counts].filter(([, count]) => count > 0).sort(([a, x], [b, y]) => y - x || a - b);
  return new Map(ordered.slice(0, keep).map(([id, count]) => [id, count / total]));
}

/** A row through a vocabulary map: masses on one id add up, the `width` largest stay, nothing is renormalised. */
export function mapMasses(map: SparseMap, source: Masses, width: number = Infinity): Map<number, number> {
  const mapped = new Map<number, number>();
  for (const [id, mass] of source) {
    for (let e = map.start[id]!; e < map.start[id + 1]!; e++) {
      mapped.set(map.pivot[e]!, (mapped.get(map.pivot[e]!) ?? 0) + mass * map.share[e]!);
    }
  }
  if (mapped.size <= width) return mapped;
  return new Map([...mapped].sort(([a, x], [b, y]) => y - x || a - b).slice(0, width));
}

/** [size] add-one frequencies of the tokens of texts, as probabilities. */
export function backgroundOf(encodings: readonly Encoding[], size: number): Float64Array {
  const counts = new Float64Array(size).fill(1);
  let total = size;
  for (const { ids } of encodings) {
    total += ids.length;
    for (const id of ids) counts[id]!++;
  }
  return counts.map((count) => count / total);
}

/** Co-start counts of the same texts as two tokenizers write them: only tokens whose span is exactly their bytes. */
export function countTexts(
  pivot: readonly Encoding[],
  source: readonly Encoding[],
  pivotVocabulary: Vocabulary,
  sourceVocabulary: Vocabulary,
): CoStarts {
  const counter = createCoStartCounter();
  const covers = ({ ids, byteStart, byteEnd, lead }: Encoding, i: number, vocabulary: Vocabulary): boolean =>
    lead[i] === 0 && byteEnd[i]! - byteStart[i]! === vocabulary.byteLength[ids[i]!];
  pivot.forEach((a, n) => {
    const b = source[n]!;
    let j = 0;
    for (let i = 0; i < a.ids.length; i++) {
      if (!covers(a, i, pivotVocabulary)) continue;
      const start = a.byteStart[i]!;
      while (j < b.ids.length && (b.byteStart[j]! < start || b.byteEnd[j] === b.byteStart[j])) j++;
      if (j < b.ids.length && b.byteStart[j] === start && covers(b, j, sourceVocabulary)) {
        counter.add(b.ids[j]!, a.ids[i]!);
      }
    }
  });
  return counter.counts(sourceVocabulary.size);
}
