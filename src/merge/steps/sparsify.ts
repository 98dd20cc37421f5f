/**
 * Which entries of each model's update stay. A sparsifier looks at all models' updates of one tensor and says for each
 * model what is kept; its options are those of every method that is built on it.
 */
import { z } from "zod";
import { createRandom } from "../../random.ts";
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Chunk, type Pass } from "../chunk.ts";
import { magnitudes } from "../kernels/index.ts";
import { type Cut, EVERYTHING, findCuts, NOTHING } from "./cuts.ts";
import type { Band, Kept } from "./kept-updates.ts";
import { rankRows } from "./rank-rows.ts";
import { canRepeatTies, torchLargest } from "./torch-ties.ts";

export interface SparsifierTask {
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
  readonly options: Readonly<Record<string, unknown>>;
  /** One per model. */
  readonly modelOptions: readonly Readonly<Record<string, number>>[];
  readonly likeMergekit: boolean;
  readonly memory: BlockMemory;
}

export interface Sparsifier {
  /** What is left is lengthened to what it was, in the sum of magnitudes, unless told otherwise. */
  readonly rescales: boolean;
  readonly options: z.ZodRawShape;
  readonly modelOptions: z.ZodRawShape;
  readonly problem?: (model: Readonly<Record<string, number>>) => string | undefined;
  /** What the user should hear of a model's options where what is left is lengthened. */
  readonly rescaleRemark?: (model: Readonly<Record<string, number>>) => string | undefined;
  keep(task: SparsifierTask): Kept[] | Generator<Pass, Kept[], void>;
}

const density = z.number().default(1).describe("share of the update's entries that stay; 1 and more keeps all");
/** Densities up to which lengthening what is left tenfold and more is worth a word. */
const SPARSE = 0.1;
/** An entry is drawn where 32 random bits, as an integer, are below its probability times this. */
const WORDS = 2 ** 32;

const seed = z.number().int().default(0).describe("another number draws other entries");

/** The largest entries (TIES). */
export const largest: Sparsifier = {
  rescales: false,
  options: {},
  modelOptions: { density },
  *keep({ size, modelOptions, likeMergekit, memory }) {
    const counts = modelOptions.map(({ density: share }) =>
      share! <= 0 ? 0 : Math.min(size, Math.max(1, Math.floor(share! * size))),
    );
    const cuts = yield* cutMagnitudes(
      size,
      counts.map((count) => [count]),
      memory,
    );
    const kept: Kept[] = cuts.map(([cut], j) => (counts[j] === size ? undefined : { from: NOTHING, to: cut! }));
    if (likeMergekit) yield* repeatTies(size, counts, kept);
    return kept;
  },
};

/** Replaces what is kept by what PyTorch keeps among equal magnitudes, one model after the other. */
function* repeatTies(size: number, counts: readonly number[], kept: Kept[]): Generator<Pass, void, void> {
  for (const [j, count] of counts.entries()) {
    if (!canRepeatTies(size, count)) continue;
    const scores = new Float64Array(size);
    yield ({ start, count: entries, models, base }) =>
      magnitudes(models, j, base, entries, scores.subarray(start, start + entries));
    kept[j] = torchLargest(scores, count) ?? kept[j]!;
  }
}

/** All but the largest and the smallest entries (Breadcrumbs). */
export const middle: Sparsifier = {
  rescales: false,
  options: {},
  modelOptions: { density, gamma: z.number().min(0).default(0.01).describe("share of the largest entries, left out") },
  *keep({ size, modelOptions, memory }) {
    // Where what is kept does not fit below what is dropped, the smallest are kept.
    const counts = modelOptions.map(({ density: share, gamma }) => {
      const kept = Math.min(size, Math.max(0, Math.floor(share! * size)));
      return { kept, dropped: Math.min(Math.floor(gamma! * size), size - kept) };
    });
    const wanted = counts.map(({ kept, dropped }) => [dropped, dropped + kept]);
    const cuts = yield* cutMagnitudes(size, wanted, memory);
    return cuts.map(([from, to], j): Band | undefined =>
      counts[j]!.kept === size ? undefined : { from: from!, to: to! },
    );
  },
};

/** For every model the cuts of its largest entries, as many as each of `counts` says. */
function* cutMagnitudes(
  size: number,
  counts: readonly (readonly number[])[],
  memory: BlockMemory,
): Generator<Pass, readonly (readonly Cut[])[], void> {
  // Nothing and everything need no search.
  const searched = [...counts.keys()].filter((j) => counts[j]!.some((count) => count > 0 && count < size));
  const rankings = searched.map((j) => ({
    score: (chunk: Chunk, scores: Float64Array) => magnitudes(chunk.models, j, chunk.base, chunk.count, scores),
    counts: () => counts[j]!,
  }));
  const found = searched.length === 0 ? [] : yield* findCuts(size, rankings, memory);
  return counts.map((own, j) => found[searched.indexOf(j)] ?? own.map((count) => (count > 0 ? EVERYTHING : NOTHING)));
}

/** Every entry by chance, with the probability `density` (DARE). Drawn chunk by chunk from the tensor's name. */
export const byChance: Sparsifier = {
  rescales: true,
  rescaleRemark: ({ density: share }) =>
    share! > 0 && share! <= SPARSE
      ? `density ${share} leaves so little that rescale makes it ${(1 / share!).toFixed(0)} times as large, and the update ${Math.sqrt(1 / share!).toFixed(1)} times as long; only small updates bear that, or set rescale: false`
      : undefined,
  options: { seed },
  modelOptions: { density },
  keep({ name, size, options, modelOptions }) {
    const draws = new Uint32Array(CHUNK_ENTRIES);
    return modelOptions.map(({ density: share }, j) => {
      if (share! >= 1) return undefined;
      const bits = new Uint32Array(Math.ceil(size / 32));
      for (let start = 0; start < size; start += CHUNK_ENTRIES) {
        const random = createRandom(`merge/chance/${options.seed}/${name}/model ${j}/entry ${start}`);
        const drawn = draws.subarray(0, size - start);
        random.words(drawn);
        for (let from = 0; from < drawn.length; from += 32) {
          bits[(start + from) >>> 5] = bitsBelow(drawn, from, Math.min(from + 32, drawn.length), share! * WORDS);
        }
      }
      return bits;
    });
  },
};

/** The bits of at most 32 draws from `from` on: 1 where a draw is below the threshold. */
function bitsBelow(draws: Uint32Array, from: number, end: number, threshold: number): number {
  let word = 0;
  for (let i = from; i < end; i++) word = (word >>> 1) | (Number(draws[i]! < threshold) << 31);
  return word >>> (32 - (end - from));
}

/**
 * By chance, with a probability that rises with the entry's rank by magnitude within its row, from density - epsilon to
 * density + epsilon (DELLA's MagPrune). Drawn row by row from the tensor's name.
 */
export const byRank: Sparsifier = {
  rescales: true,
  rescaleRemark: ({ density: share, epsilon: spread }) =>
    share! > 0 && share! < 1 && spread! > 0
      ? "larger entries are likelier to stay, and rescale restores the sum of magnitudes: updates come out 1% to 13% larger on average than they were; rescale: false, or a lower lambda, makes up for it"
      : undefined,
  options: { seed },
  modelOptions: {
    density,
    epsilon: z.number().default(0.15).describe("how far the probability rises and falls about density within a row"),
  },
  problem: ({ density: share, epsilon }) =>
    share! >= 1 || share! <= 0 || (share! - epsilon! > 0 && share! + epsilon! < 1)
      ? undefined
      : `expected density - epsilon and density + epsilon between 0 and 1, found density ${share} and epsilon ${epsilon}`,
  *keep({ name, shape, size, options, modelOptions, memory }) {
    const kept = modelOptions.map(({ density: share }) =>
      share! >= 1 ? undefined : new Uint32Array(Math.ceil(size / 32)),
    );
    if (kept.every((bits) => bits === undefined)) return kept;
    const width = shape.length === 0 ? 1 : shape.at(-1)!;
    const draws = new Uint32Array(width);
    yield rankRows(width, modelOptions.length, memory, (row, j, order) => {
      const bits = kept[j];
      const { density: share, epsilon } = modelOptions[j]!;
      if (bits === undefined || share! <= 0) return;
      const random = createRandom(`merge/rank/${options.seed}/${name}/model ${j}/row ${row}`);
      random.words(draws);
      for (let rank = 0; rank < width; rank++) {
        // The only entry of its row stands in the middle.
        const rise = width === 1 ? 0 : (2 * rank) / (width - 1) - 1;
        const i = row * width + order[rank]!;
        if (draws[rank]! < (share! + epsilon! * rise) * WORDS) bits[i >>> 5]! |= 1 << (i & 31);
      }
    });
    return kept;
  },
};
