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
import { addSquares, elect, scatter, variances } from "../kernels/index.ts";
import { CHUNK_ENTRIES, type Chunk, defineMethod, type MergeMethod } from "../method.ts";
import { type Cut, findCuts } from "../steps/cuts.ts";
import { sharesOf } from "../steps/energies.ts";
import { createKeeper } from "../steps/kept-updates.ts";
import { createSelectedEnergies } from "../steps/selected-energies.ts";
import { createSelector } from "../steps/selected-entries.ts";

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
/** Entries whose energies are kept while the last selected one is searched: 15 MB of five models. */
const MOST_AT_EDGE = 1 << 18;
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
  *tensor({ size, models, options: { select_topk: share, variant }, likeMergekit, memory }) {
    const algorithm = variant ?? "mergekit";
    const energies = memory.doubles("energies", models).fill(0);
    // Undefined where all entries are selected. Each pass has a selector of its own.
    let selector: (() => ReturnType<typeof createSelector>) | undefined;
    let isKnown = false;
    if (share < 1) {
      // The variance of the weights is that of the updates, and needs no base.
      const score = (chunk: Chunk, scores: Float64Array): void =>
        variances(chunk.models, models, 1 / models, chunk.count, scores);
      const counts = (moved: number): number[] => [Math.floor(share * (algorithm === "paper" ? size : moved))];
      const { watch, upTo } = createSelectedEnergies(models, MOST_AT_EDGE, memory);
      const [[cut]] = (yield* findCuts(size, [{ score, counts, watch }], memory)) as [[Cut]];
      isKnown = upTo(cut, energies);
      selector = () => createSelector(models, score, cut, memory);
    }
    if (!isKnown) {
      const select = selector?.();
      yield (chunk) => {
        const { models: values, base, count } = select === undefined ? chunk : select(chunk).entries;
        addSquares(values, base, models, count, energies);
      };
    }

    const threshold = algorithm === "mergekit" && (likeMergekit || variant !== undefined) ? MERGEKIT_ENERGY : 0;
    const shares = sharesOf(energies, threshold * size);
    const eta = memory.doubles("eta", models);
    eta.set(shares);
    const votes = memory.doubles("votes", models).fill(1);
    // The paper's updates are divided by nothing.
    const divisors = algorithm === "paper" ? memory.doubles("divisors", models).fill(0) : eta;
    const least = algorithm === "mergekit" ? MERGEKIT_DIVISOR : 0;
    const updatesOf = createKeeper(Array(models).fill(undefined), memory);
    const erase = (chunk: Chunk, merged: Float64Array): void =>
      elect(updatesOf(chunk), votes, eta, divisors, models, chunk.base, 1, least, chunk.count, merged);
    // What is not selected moves nothing, except in the authors' code.
    const selectToMerge = algorithm === "fusechat" ? undefined : selector?.();
    const room = memory.doubles("packed merged", CHUNK_ENTRIES);
    return {
      write: (chunk, merged) => {
        if (selectToMerge === undefined) {
          erase(chunk, merged);
          return;
        }
        const { places, entries } = selectToMerge(chunk);
        erase(entries, room);
        merged.set(chunk.base);
        scatter(room, places, entries.count, merged);
      },
      coefficients: [...shares],
    };
  },
});
