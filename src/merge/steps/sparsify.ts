/**
 * Which entries of each model's update stay. A sparsifier looks at all models' updates of one tensor and gives a bit an
 * entry and model; its options are those of every method that is built on it.
 */
import { z } from "zod";
import { createRandom, type Random } from "../../random.ts";
import { CHUNK_ENTRIES, type Chunk, type Pass } from "../method.ts";
import { selectLargest } from "../selection.ts";
import { lockstep } from "./lockstep.ts";
import { rankRows } from "./rank-rows.ts";
import { canRepeatTies, torchLargest } from "./torch-ties.ts";
import { magnitudes } from "./updates.ts";

/** [size / 32] a bit an entry of one model; undefined where all entries stay. */
export type Kept = Uint32Array | undefined;

export interface SparsifierTask {
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
  readonly options: Readonly<Record<string, unknown>>;
  /** One per model. */
  readonly modelOptions: readonly Readonly<Record<string, number>>[];
  readonly likeMergekit: boolean;
}

export interface Sparsifier {
  /** What is left is lengthened to what it was, in the sum of magnitudes, unless told otherwise. */
  readonly rescales: boolean;
  readonly options: z.ZodRawShape;
  readonly modelOptions: z.ZodRawShape;
  readonly problem?: (model: Readonly<Record<string, number>>) => string | undefined;
  keep(task: SparsifierTask): Kept[] | Generator<Pass, Kept[], void>;
}

const density = z.number().default(1).describe("share of the update's entries that stay; 1 and more keeps all");
const seed = z.number().int().default(0).describe("another number draws other entries");

/** The largest entries (TIES). */
export const largest: Sparsifier = {
  rescales: false,
  options: {},
  modelOptions: { density },
  *keep({ size, modelOptions, likeMergekit }) {
    const counts = modelOptions.map(({ density: share }) =>
      share! <= 0 ? 0 : Math.min(size, Math.max(1, Math.floor(share! * size))),
    );
    const kept = yield* lockstep(counts.map((count, j) => largestEntries(size, j, count)));
    if (likeMergekit) yield* repeatTies(size, counts, kept);
    return modelOptions.map(({ density: share }, j) => (share! >= 1 ? undefined : kept[j]!));
  },
};

/** Replaces what is kept by what PyTorch keeps among equal magnitudes, one model after the other. */
function* repeatTies(size: number, counts: readonly number[], kept: Uint32Array[]): Generator<Pass, void, void> {
  for (const [j, count] of counts.entries()) {
    if (!canRepeatTies(size, count)) continue;
    const scores = new Float64Array(size);
    yield (chunk) => magnitudes(chunk, j, scores.subarray(chunk.start));
    kept[j] = torchLargest(scores, count) ?? kept[j]!;
  }
}

/** All but the largest and the smallest entries (Breadcrumbs). */
export const middle: Sparsifier = {
  rescales: false,
  options: {},
  modelOptions: { density, gamma: z.number().min(0).default(0.01).describe("share of the largest entries, left out") },
  *keep({ size, modelOptions }) {
    // Where what is kept does not fit below what is dropped, the smallest are kept.
    const counts = modelOptions.map(({ density: share, gamma }) => {
      const kept = Math.min(size, Math.max(0, Math.floor(share! * size)));
      return { kept, dropped: Math.min(Math.floor(gamma! * size), size - kept) };
    });
    const selections = yield* lockstep(
      counts.flatMap(({ kept, dropped }, j) => [
        largestEntries(size, j, dropped + kept),
        largestEntries(size, j, dropped),
      ]),
    );
    return counts.map(({ kept }, j) => {
      if (kept === size) return undefined;
      const dropped = selections[2 * j + 1]!;
      return selections[2 * j]!.map((bits, at) => bits & ~dropped[at]!);
    });
  },
};

/** Every entry by chance, with the probability `density` (DARE). Drawn chunk by chunk from the tensor's name. */
export const byChance: Sparsifier = {
  rescales: true,
  options: { seed },
  modelOptions: { density },
  keep({ name, size, options, modelOptions }) {
    return modelOptions.map(({ density: share }, j) => {
      if (share! >= 1) return undefined;
      const bits = new Uint32Array(Math.ceil(size / 32));
      for (let start = 0; start < size; start += CHUNK_ENTRIES) {
        const random = createRandom(`merge/chance/${options.seed}/${name}/model ${j}/entry ${start}`);
        const end = Math.min(size, start + CHUNK_ENTRIES);
        for (let i = start; i < end; i++) if (isDrawn(random, share!)) bits[i >>> 5]! |= 1 << (i & 31);
      }
      return bits;
    });
  },
};

/**
 * By chance, with a probability that rises with the entry's rank by magnitude within its row, from density - epsilon to
 * density + epsilon (DELLA's MagPrune). Drawn row by row from the tensor's name.
 */
export const byRank: Sparsifier = {
  rescales: true,
  options: { seed },
  modelOptions: {
    density,
    epsilon: z.number().default(0.15).describe("how far the probability rises and falls about density within a row"),
  },
  problem: ({ density: share, epsilon }) =>
    share! >= 1 || share! <= 0 || (share! - epsilon! > 0 && share! + epsilon! < 1)
      ? undefined
      : `expected density - epsilon and density + epsilon between 0 and 1, found density ${share} and epsilon ${epsilon}`,
  *keep({ name, shape, size, options, modelOptions }) {
    const kept = modelOptions.map(({ density: share }) =>
      share! >= 1 ? undefined : new Uint32Array(Math.ceil(size / 32)),
    );
    if (kept.every((bits) => bits === undefined)) return kept;
    const width = shape.length === 0 ? 1 : shape.at(-1)!;
    yield rankRows(width, modelOptions.length, (row, j, order) => {
      const bits = kept[j];
      const { density: share, epsilon } = modelOptions[j]!;
      if (bits === undefined || share! <= 0) return;
      const random = createRandom(`merge/rank/${options.seed}/${name}/model ${j}/row ${row}`);
      for (let rank = 0; rank < width; rank++) {
        // The only entry of its row stands in the middle.
        const rise = width === 1 ? 0 : (2 * rank) / (width - 1) - 1;
        const i = row * width + order[rank]!;
        if (isDrawn(random, share! + epsilon! * rise)) bits[i >>> 5]! |= 1 << (i & 31);
      }
    });
    return kept;
  },
};

/** True with this probability, in steps of 2^-32: one word of the generator where a double would take two. */
function isDrawn(random: Random, probability: number): boolean {
  return random.integer(2 ** 32) < probability * 2 ** 32;
}

/** The bits of the `count` entries that model `j` moved most. */
function* largestEntries(size: number, j: number, count: number): Generator<Pass, Uint32Array, void> {
  const score = (chunk: Chunk, scores: Float64Array): void => magnitudes(chunk, j, scores);
  return (yield* selectLargest({ size, score, take: () => count, add: () => {}, width: 0 })).bits;
}
