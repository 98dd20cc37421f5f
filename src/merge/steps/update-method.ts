/**
 * The family of methods that add up task vectors ("Editing models with task arithmetic", Ilharco et al. 2023). With the
 * updates d_j = theta_j - base, for every tensor:
 *
 *   sparsify   some entries of each d_j become 0; what is left may be rescaled to the sum of magnitudes it had
 *   weigh      w_j d_j
 *   elect      where the method votes: per entry, drop what has not the sign of the sum (a sum of 0 is positive)
 *   merge      base + lambda x the sum, divided by the weights where `normalize` is set: by the sum of those that take
 *              part in the entry where the method votes, of all others
 */
import { z } from "zod";
import { CHUNK_ENTRIES, type Chunk, defineMethod, type MergeMethod, type Pass } from "../method.ts";
import type { Kept, Sparsifier } from "./sparsify.ts";
import { createUpdates, updatesOf } from "./updates.ts";
import { sumUpdates } from "./weighted-sum.ts";
import { sumOf } from "./weights.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

interface UpdateMethod {
  readonly name: string;
  readonly summary: string;
  readonly paper: string;
  readonly sparsifier?: Sparsifier;
  /** Elects a sign per entry. */
  readonly votes: boolean;
  /** Default of `normalize`. */
  readonly normalizes: boolean;
  readonly differs?: string;
}

interface MergeOptions {
  readonly normalize: boolean;
  readonly rescale?: boolean;
  readonly lambda: number;
}

/** Sums of weights below it count as 1, where no sign is elected. */
const SMALLEST_WEIGHTS = 1e-8;
/** mergekit: sums of magnitudes below it are not rescaled. */
const MERGEKIT_MAGNITUDES = 1e-7;

export function updateMethod({ sparsifier, votes, normalizes, ...description }: UpdateMethod): MergeMethod {
  return defineMethod({
    ...description,
    base: "origin",
    options: z.strictObject({
      normalize: z
        .boolean()
        .default(normalizes)
        .describe(`divide by the weights${votes ? " that take part" : ""}`),
      ...(sparsifier && {
        rescale: z
          .boolean()
          .default(sparsifier.rescales)
          .describe("lengthen what is left of an update to the sum of magnitudes it had"),
      }),
      lambda: z.number().default(1).describe("factor of the merged update"),
      int8_mask: z.boolean().default(false).describe("mergekit's; it never changes the result"),
      ...sparsifier?.options,
    }),
    modelOptions: z.strictObject({
      weight: z.number().describe("factor of this model's update"),
      ...sparsifier?.modelOptions,
    }),
    problem: (_, models) => {
      for (const model of models) {
        const problem = sparsifier?.problem?.(model as Record<string, number>);
        if (problem !== undefined) return problem;
      }
      return undefined;
    },
    remark: (_, models) => {
      for (const { density } of models as readonly { density?: number }[]) {
        if (density !== undefined && density > 1) return `density ${density} keeps all entries, as 1 does`;
        if (density !== undefined && density <= 0) return `density ${density} keeps nothing of a model`;
      }
      return undefined;
    },
    *tensor({ name, shape, size, models, options, modelOptions, likeMergekit }) {
      const { normalize, rescale, lambda } = options as unknown as MergeOptions;
      const given = modelOptions as readonly Readonly<Record<string, number>>[];
      const sparsified = sparsifier?.keep({ name, shape, size, options, modelOptions: given, likeMergekit });
      const kept = keptOf(sparsified === undefined || !("next" in sparsified) ? sparsified : yield* sparsified, models);
      const weights = given.map(({ weight }) => weight!);
      const scales = rescale ? yield* rescaling(kept, likeMergekit ? MERGEKIT_MAGNITUDES : 0) : kept.map(() => 1);
      const factors = Float64Array.from(weights, (weight, j) => weight * scales[j]!);
      if (!votes) return { write: adder(kept, factors, lambda / (normalize ? divisorOf(weights) : 1)) };
      // A share of the votes is a share whatever its sign: with the weights themselves, as mergekit has it, a negative
      // sum would turn the elected sign round.
      const shares = Float64Array.from(weights, (weight) => (likeMergekit ? weight : Math.abs(weight)));
      return { write: elector(kept, factors, normalize ? shares : undefined, lambda) };
    },
  });
}

/** Without a sparsifier all entries of all models stay. */
function keptOf(kept: Kept[] | undefined, models: number): Kept[] {
  return kept ?? Array.from({ length: models }, () => undefined);
}

function divisorOf(weights: readonly number[]): number {
  const sum = sumOf(weights);
  return Math.abs(sum) < SMALLEST_WEIGHTS ? 1 : sum;
}

/** What lengthens each update's kept entries to the sum of magnitudes of all; 1 where a sum is at most `smallest`. */
function* rescaling(kept: readonly Kept[], smallest: number): Generator<Pass, number[], void> {
  const all = new Float64Array(kept.length);
  const left = new Float64Array(kept.length);
  if (kept.some((bits) => bits !== undefined)) {
    const scratch = createUpdates(kept.length);
    yield (chunk) => {
      const updates = updatesOf(chunk, scratch);
      for (const [j, bits] of kept.entries()) {
        if (bits === undefined) continue;
        let sumOfAll = 0;
        let sumOfLeft = 0;
        for (let i = 0; i < chunk.count; i++) {
          const magnitude = Math.abs(updates[j * STRIDE + i]!);
          sumOfAll += magnitude;
          sumOfLeft += magnitude * bitAt(bits, chunk.start + i);
        }
        all[j]! += sumOfAll;
        left[j]! += sumOfLeft;
      }
    };
  }
  return kept.map((_, j) => (all[j]! > smallest && left[j]! > smallest ? all[j]! / left[j]! : 1));
}

/** 0 or 1. */
function bitAt(bits: Uint32Array, index: number): number {
  return (bits[index >>> 5]! >>> (index & 31)) & 1;
}

type Write = (chunk: Chunk, merged: Float64Array) => void;

/** Entries whose bits make a word. */
const WORD = 32;

/** Fills `words` with those of every model for the entries of the tensor from `place` on. */
function wordsAt(kept: readonly Kept[], place: number, words: Int32Array): void {
  for (let j = 0; j < words.length; j++) {
    const bits = kept[j];
    words[j] = bits === undefined ? -1 : bits[place >>> 5]!;
  }
}

function adder(kept: readonly Kept[], factors: Float64Array, factor: number): Write {
  if (kept.every((bits) => bits === undefined)) return (chunk, merged) => addAll(chunk, factors, factor, merged);
  const words = new Int32Array(kept.length);
  return (chunk, merged) => {
    for (let from = 0; from < chunk.count; from += WORD) {
      wordsAt(kept, chunk.start + from, words);
      addKept(chunk, from, words, factors, factor, merged);
    }
  };
}

function addAll(chunk: Chunk, factors: Float64Array, factor: number, merged: Float64Array): void {
  sumUpdates(chunk, factors, merged);
  for (let i = 0; i < chunk.count; i++) merged[i] = chunk.base[i]! + factor * merged[i]!;
}

/** A word's entries from `from` on. */
function addKept(
  { models, base, count }: Chunk,
  from: number,
  words: Int32Array,
  factors: Float64Array,
  factor: number,
  merged: Float64Array,
): void {
  const end = Math.min(from + WORD, count);
  for (let i = from; i < end; i++) {
    const origin = base[i]!;
    let update = 0;
    for (let j = 0, place = i; j < words.length; j++, place += STRIDE) {
      update += (models[place]! - origin) * (factors[j]! * ((words[j]! >>> (i & 31)) & 1));
    }
    merged[i] = origin + factor * update;
  }
}

/** `shares` divide what is left of an entry; undefined where nothing does. */
function elector(
  kept: readonly Kept[],
  factors: Float64Array,
  shares: Float64Array | undefined,
  lambda: number,
): Write {
  const words = new Int32Array(kept.length);
  const counted = shares ?? new Float64Array(factors.length);
  const weighted = new Float64Array(factors.length);
  return (chunk, merged) => {
    for (let from = 0; from < chunk.count; from += WORD) {
      wordsAt(kept, chunk.start + from, words);
      elect(chunk, from, words, factors, counted, lambda, weighted, merged);
    }
  };
}

/** A word's entries from `from` on. `weighted` is room for one entry's weighted updates. */
function elect(
  { models, base, count }: Chunk,
  from: number,
  words: Int32Array,
  factors: Float64Array,
  counted: Float64Array,
  lambda: number,
  weighted: Float64Array,
  merged: Float64Array,
): void {
  const end = Math.min(from + WORD, count);
  for (let i = from; i < end; i++) {
    const origin = base[i]!;
    let vote = 0;
    for (let j = 0, place = i; j < words.length; j++, place += STRIDE) {
      const update = (models[place]! - origin) * (factors[j]! * ((words[j]! >>> (i & 31)) & 1));
      weighted[j] = update;
      vote += update;
    }
    // Signs are as good as random, so comparisons become factors of 0 and 1: branches would take far longer.
    const sign = 2 * Number(vote >= 0) - 1;
    let update = 0;
    let share = 0;
    for (let j = 0; j < words.length; j++) {
      const along = weighted[j]! * sign;
      const takesPart = Number(along > 0);
      update += along * takesPart;
      share += counted[j]! * takesPart;
    }
    merged[i] = origin + (lambda * sign * update) / (share === 0 ? 1 : share);
  }
}
