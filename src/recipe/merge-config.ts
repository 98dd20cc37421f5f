/** A recipe's merge as a merge configuration: the pivot is what the targets differ from, the targets are the models. */
import type { MergeConfig } from "../merge/config.ts";
import type { MergeDtype } from "../merge/dtypes.ts";
import type { MergeMethod } from "../merge/method.ts";
import { METHODS } from "../merge/methods/index.ts";
import type { RecipeMerge } from "./recipe.ts";

/** `pivot` and `models` are folders; the result is written in `dtype`, computed from float32 whatever the inputs' types. */
export function mergeConfigOf(
  merge: RecipeMerge,
  folders: { readonly pivot: string; readonly models: readonly string[] },
  dtype: MergeDtype,
): MergeConfig {
  const method = METHODS.find(({ name }) => name === merge.method)!;
  const models = folders.models.map((model, index) =>
    takesWeights(method) ? { model, parameters: { weight: merge.weights?.[index] ?? 1 } } : { model },
  );
  const parameters = {
    ...merge.parameters,
    ...(merge.select_topk === null ? {} : { select_topk: merge.select_topk }),
    ...(merge.variant === null ? {} : { variant: merge.variant }),
  };
  return {
    merge_method: merge.method,
    models,
    ...baseOf(method, folders),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
    dtype: "float32",
    out_dtype: dtype,
  };
}

/**
 * Targets differ from the pivot. A method between two models starts at the first target; one without a base would take
 * it for one more model to merge.
 */
function baseOf(
  { base }: MergeMethod,
  { pivot, models }: { readonly pivot: string; readonly models: readonly string[] },
): { base_model?: string } {
  if (base === "model") return {};
  return { base_model: base === "first" ? models[0]! : pivot };
}

/** True where a method's models have a weight each that the user may set. */
export function takesWeights(method: MergeMethod): boolean {
  return "weight" in method.modelOptions.shape;
}
