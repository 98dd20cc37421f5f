/**
 * SCE, "Select, Calculate, Erase" (FuseChat, Wan et al. 2024, arXiv:2408.07990, algorithm 1). With the updates
 * `d_j = theta_j - base` of K targets, for every tensor:
 *
 *   select     the share `select_topk` of the entries whose d_j vary most over the targets
 *   calculate  eta_j = sum d_j^2 / sum_j sum d_j^2 over the selected entries
 *   erase      per entry the d_j whose sign is not that of `sum_j d_j` (a sum of 0 is positive; 0 has no sign)
 *   merge      base + sum_j eta_j d_j over what is left
 *
 * Three variants go by that name. `paper`: k = share x entries, the vote and the merge see selected entries only.
 * `fusechat`, the authors' code: k = share x entries of non-zero variance; vote and merge see *all* entries, divided by
 * the eta that survive. `mergekit`: k as fusechat, vote and merge on selected entries, divided by the surviving eta (at
 * least 1e-6), and eta = 1/K where the mean squares sum to less than 1e-6: at updates of rms 1e-4 to 5e-4, usual after
 * fine-tuning, that replaces 0.003 .. 0.61 by 0.2 each. A configuration that names no variant gets mergekit's without
 * that threshold; `--like mergekit`, or the variant by name, brings it back.
 */
import { z } from "zod";
import { CHUNK_ENTRIES, type Chunk, defineMethod, type MergeMethod } from "../method.ts";
import { forEachSelected, selectLargest } from "../selection.ts";
import { addSquares, sharesOf } from "../steps/energies.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

const options = z.strictObject({
  select_topk: z.number().default(1).describe("share of entries to select, by variance; 1 and more selects all"),
  variant: z
    .enum(["fusechat", "paper", "mergekit"])
    .optional()
    .describe("which of the three algorithms; mergekit's where absent"),
  int8_mask: z.boolean().default(false).describe("mergekit's; it never changes the result"),
});
const modelOptions = z.strictObject({});

/** mergekit: mean squares that sum to less than this count as nothing. */
const MERGEKIT_ENERGY = 1e-6;
/** mergekit: the smallest divisor. */
const MERGEKIT_DIVISOR = 1e-6;

export const sce: MergeMethod = defineMethod({
  name: "sce",
  summary: "select by variance over the targets, weigh by squared update, erase minority signs",
  paper: "FuseChat (Wan et al. 2024), arXiv:2408.07990, algorithm 1",
  base: "origin",
  differs:
    "coefficients are exact however small the updates are; mergekit makes them equal where the mean squares sum to less than 1e-6, at updates of rms 1e-4 to 5e-4",
  options,
  modelOptions,
  remark: ({ select_topk: share }) =>
    share <= 0
      ? `select_topk ${share} selects nothing, so that the variants paper and mergekit give the base`
      : undefined,
  *tensor({ size, models, options: { select_topk: share, variant }, likeMergekit }) {
    const algorithm = variant ?? "mergekit";
    // What is not selected moves nothing, except in the authors' code.
    const mergesAll = algorithm === "fusechat" || share >= 1;
    let energies: Float64Array;
    let selected: Uint32Array | undefined;
    if (share >= 1) {
      energies = new Float64Array(models);
      yield (chunk) => {
        for (let i = 0; i < chunk.count; i++) addSquares(chunk, i, energies, 0);
      };
    } else {
      const selection = yield* selectLargest({
        size,
        score: (chunk, scores) => variances(chunk, models, scores),
        take: (moved) => Math.floor(share * (algorithm === "paper" ? size : moved)),
        add: addSquares,
        width: models,
      });
      energies = selection.sums;
      selected = mergesAll ? undefined : selection.bits;
    }
    const threshold = algorithm === "mergekit" && (likeMergekit || variant !== undefined) ? MERGEKIT_ENERGY : 0;
    const eta = sharesOf(energies, threshold * size);
    const divisor = { fusechat: 0, paper: undefined, mergekit: MERGEKIT_DIVISOR }[algorithm];
    return {
      write: (chunk, merged) => {
        if (selected === undefined) {
          mergeEntries(chunk, eta, divisor, merged);
        } else {
          merged.set(chunk.base);
          forEachSelected(selected, chunk, (i) => {
            merged[i] = mergedEntry(chunk.models, chunk.base, i, eta, divisor);
          });
        }
      },
      coefficients: [...eta],
    };
  },
});

/**
 * Population variance over the models, of the weights: it is that of the updates, and needs no base. Taken about the
 * first model, so that equal weights give exactly 0 and no digits cancel (the mean is within the spread of the first).
 */
function variances({ models: values, count }: Chunk, models: number, scores: Float64Array): void {
  const end = models * STRIDE;
  const share = 1 / models;
  for (let i = 0; i < count; i++) {
    const first = values[i]!;
    let sum = 0;
    let squares = 0;
    for (let place = i + STRIDE; place < end; place += STRIDE) {
      const difference = values[place]! - first;
      sum += difference;
      squares += difference * difference;
    }
    // Rounding may leave -1e-17 of the squares where all but the first are equal.
    scores[i] = Math.max(0, (squares - sum * sum * share) * share);
  }
}

function mergeEntries(
  { models: values, base, count }: Chunk,
  eta: Float64Array,
  divisor: number | undefined,
  merged: Float64Array,
): void {
  for (let i = 0; i < count; i++) merged[i] = mergedEntry(values, base, i, eta, divisor);
}

/**
 * base + sum_j eta_j d_j over the updates d_j with the elected sign, divided by their eta where `divisor`, its lower
 * bound, is given. Signs are as good as random, so comparisons become factors of 0 and 1: the same with branches takes
 * six times as long.
 */
function mergedEntry(
  values: Float64Array,
  base: Float64Array,
  i: number,
  eta: Float64Array,
  divisor: number | undefined,
): number {
  const origin = base[i]!;
  const models = eta.length;
  let vote = 0;
  for (let j = 0, place = i; j < models; j++, place += STRIDE) vote += values[place]! - origin;
  const sign = 2 * Number(vote >= 0) - 1;
  let update = 0;
  let share = 0;
  for (let j = 0, place = i; j < models; j++, place += STRIDE) {
    const along = (values[place]! - origin) * sign;
    const weight = eta[j]! * Number(along > 0);
    update += weight * along;
    share += weight;
  }
  if (divisor === undefined) return origin + sign * update;
  return share > 0 ? origin + (sign * update) / Math.max(share, divisor) : origin;
}
