/**
 * VaRM, "Variation Ratio Merge" (FuseChat, first version, Wan et al. 2024, arXiv:2402.16107, equation 7): the targets'
 * weights averaged in proportion to the mean square of their updates d_j = theta_j - base, taken over the whole model,
 * over every layer, matrix or parameter. The shares sum to one, so `sum_j s_j theta_j = base + sum_j s_j d_j`; entries
 * that no target moved stay as they are at every granularity.
 *
 * The script published with the paper measures the difference of two models given on its command line instead of that
 * from pivot to target and uses the same figure for all of them, which comes out as a plain average; per layer it adds
 * up the means of tensors, so that a norm counts as much as a matrix; and per parameter it makes entries zero that
 * nobody moved.
 */
import { z } from "zod";
import { addSquares } from "../kernels/index.ts";
import { layerPlace } from "../layers.ts";
import { CHUNK_ENTRIES, type Chunk, defineMethod, type MergeMethod, type Pass, type TensorTask } from "../method.ts";
import { sharesOf } from "../steps/energies.ts";
import { combination } from "../steps/gram.ts";
import { WHOLE } from "../steps/groups.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

export const varm: MergeMethod = defineMethod({
  name: "varm",
  summary: "average of the targets by the mean square of their updates",
  paper: "FuseChat, version 1 (Wan et al. 2024), arXiv:2402.16107, equation 7",
  base: "origin",
  options: z.strictObject({
    granularity: z
      .enum(["model", "layer", "matrix", "parameter"])
      .default("matrix")
      .describe(
        "what gets a share of its own: the model, every layer (a tensor outside of the layers by itself), every tensor (the paper's choice), or every entry",
      ),
  }),
  modelOptions: z.strictObject({}),
  survey: {
    scope: ({ granularity }, tensor) => {
      if (granularity === "model") return "";
      const place = granularity === "layer" ? layerPlace(tensor) : undefined;
      return place && `${place.stack}.${place.layer}`;
    },
    measure: energiesOf,
  },
  *tensor(task) {
    const { models, options, memory, surveyed } = task;
    if (options.granularity === "parameter") return { write: mergeEntries };
    const shares = sharesOf(surveyed ?? (yield* energiesOf(task)), 0);
    return { ...combination(models, WHOLE, shares, memory), coefficients: [...shares] };
  },
});

/** The sum of squares of each model's update: as a share the mean square, as all have as many entries. */
function* energiesOf({
  models,
  memory,
}: Pick<TensorTask<unknown, unknown>, "models" | "memory">): Generator<Pass, Float64Array, void> {
  const energies = memory.doubles("energies", models).fill(0);
  yield (chunk) => addSquares(chunk.models, chunk.base, models, chunk.count, energies);
  return energies;
}

/** base + sum_j d_j^3 / sum_j d_j^2 */
function mergeEntries({ models, base, count }: Chunk, merged: Float64Array): void {
  for (let i = 0; i < count; i++) {
    let cubes = 0;
    let squares = 0;
    for (let place = i; place < models.length; place += STRIDE) {
      const update = models[place]! - base[i]!;
      squares += update * update;
      cubes += update * update * update;
    }
    merged[i] = squares > 0 ? base[i]! + cubes / squares : base[i]!;
  }
}
