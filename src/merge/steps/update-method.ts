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
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Pass } from "../chunk.ts";
import { addToBase, addUpdates, addWeights, elect, subtract, sumOfMagnitudes } from "../kernels/index.ts";
import { defineMethod, type MergedTensor, type MergeMethod } from "../method.ts";
import { createKeeper, type Kept } from "./kept-updates.ts";
import type { Sparsifier } from "./sparsify.ts";
import { sumOf } from "./weights.ts";

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
    remark: ({ rescale }, models) => {
      for (const model of rescale === true ? models : []) {
        const remark = sparsifier?.rescaleRemark?.(model as Record<string, number>);
        if (remark !== undefined) return remark;
      }
      for (const { density } of models as readonly { density?: number }[]) {
        if (density !== undefined && density > 1) return `density ${density} keeps all entries, as 1 does`;
        if (density !== undefined && density <= 0) return `density ${density} keeps nothing of a model`;
      }
      return undefined;
    },
    *tensor({ name, shape, size, models, options, modelOptions, likeMergekit, memory }) {
      const { normalize, rescale, lambda } = options as unknown as MergeOptions;
      const given = modelOptions as readonly Readonly<Record<string, number>>[];
      const sparsified = sparsifier?.keep({ name, shape, size, options, modelOptions: given, likeMergekit, memory });
      const kept = keptOf(sparsified === undefined || !("next" in sparsified) ? sparsified : yield* sparsified, models);
      const weights = given.map(({ weight }) => weight!);
      const scales = rescale
        ? yield* rescaling(kept, likeMergekit ? MERGEKIT_MAGNITUDES : 0, memory)
        : kept.map(() => 1);
      const factors = memory.doubles("factors", models);
      factors.set(weights.map((weight, j) => weight * scales[j]!));
      if (!votes) return adder(kept, factors, lambda / (normalize ? divisorOf(weights) : 1), memory);
      // A share of the votes is a share whatever its sign: with the weights themselves, as mergekit has it, a negative
      // sum would turn the elected sign round.
      const shares = memory.doubles("shares", models);
      shares.set(weights.map((weight) => (!normalize ? 0 : likeMergekit ? weight : Math.abs(weight))));
      return elector(kept, factors, shares, lambda, memory);
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
function* rescaling(
  kept: readonly Kept[],
  smallest: number,
  memory: BlockMemory,
): Generator<Pass, readonly number[], void> {
  const all = new Float64Array(kept.length);
  const left = new Float64Array(kept.length);
  if (kept.some((one) => one !== undefined)) {
    const keep = createKeeper(kept, memory);
    const whole = memory.doubles("whole updates", kept.length * CHUNK_ENTRIES);
    yield (chunk) => {
      const updates = keep(chunk);
      subtract(chunk.models, chunk.base, kept.length, chunk.count, whole);
      for (let j = 0; j < kept.length; j++) {
        all[j]! += sumOfMagnitudes(whole, j, chunk.count);
        left[j]! += sumOfMagnitudes(updates, j, chunk.count);
      }
    };
  }
  return kept.map((_, j) => (all[j]! > smallest && left[j]! > smallest ? all[j]! / left[j]! : 1));
}

function adder(kept: readonly Kept[], factors: Float64Array, factor: number, memory: BlockMemory): MergedTensor {
  const models = factors.length;
  if (kept.every((one) => one === undefined)) {
    return {
      write: (chunk, merged) => addUpdates(chunk.models, chunk.base, factors, models, factor, chunk.count, merged),
    };
  }
  const keep = createKeeper(kept, memory);
  return {
    write: (chunk, merged) => {
      addWeights(keep(chunk), factors, models, chunk.count, merged);
      addToBase(chunk.base, factor, chunk.count, merged);
    },
  };
}

/** `shares` divide what is left of an entry; where they are 0 nothing does. */
function elector(
  kept: readonly Kept[],
  factors: Float64Array,
  shares: Float64Array,
  lambda: number,
  memory: BlockMemory,
): MergedTensor {
  const keep = createKeeper(kept, memory);
  // Negative weights may make a divisor negative: it has no lower bound.
  const least = Number.NEGATIVE_INFINITY;
  return {
    write: (chunk, merged) =>
      elect(keep(chunk), factors, factors, shares, shares.length, chunk.base, lambda, least, chunk.count, merged),
  };
}
