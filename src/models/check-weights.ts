/** Whether a checkpoint holds the weights its config promises. */
import { inputErrors } from "../errors.ts";
import { sameShape } from "../graph/graph.ts";
import type { Model } from "./architecture.ts";

/** What a checkpoint says of a tensor. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
}

const FLOAT_TYPES = ["F32", "F16", "BF16", "F64"];

/** Buffers that older checkpoints carry along and that follow from the config. */
const COMPUTED = /\.rotary_emb\.inv_freq$/;

/** Heads; where one is tied, a stored copy of the embedding. */
const HEADS = ["lm_head.weight", "language_model.lm_head.weight", "output.weight"];

/**
 * Throws one error that lists every missing, misshapen, unreadable or unknown tensor. A tied head may be stored again;
 * it is not read.
 */
export function checkWeights(model: Model, tensors: ReadonlyMap<string, StoredTensor>): void {
  const problems: string[] = [];
  const where = (name: string): string => `${model.folder}: ${JSON.stringify(name)}`;
  for (const { name, shape } of model.shapes) {
    const stored = tensors.get(name);
    if (stored === undefined) {
      problems.push(`${where(name)}: the config asks for this tensor [${shape.join(", ")}], and it is missing`);
    } else if (!sameShape(stored.shape, shape)) {
      problems.push(`${where(name)}: the config asks for [${shape.join(", ")}], found [${stored.shape.join(", ")}]`);
    } else if (!FLOAT_TYPES.includes(stored.dtype)) {
      problems.push(`${where(name)}: expected one of ${FLOAT_TYPES.join(", ")}, found ${stored.dtype}`);
    }
  }
  const known = new Set(model.shapes.map((shape) => shape.name));
  for (const name of tensors.keys()) {
    if (
      known.has(name) ||
      model.isCarried?.(name) ||
      COMPUTED.test(name) ||
      (model.config.tied && HEADS.includes(name))
    )
      continue;
    problems.push(`${where(name)}: ${model.architecture.name} models with this config have no such tensor`);
  }
  if (problems.length > 0) throw inputErrors(problems);
}
