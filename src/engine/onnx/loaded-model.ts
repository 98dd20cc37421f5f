/** A model folder in the worker's memory: its config and every weight as float32, checked to be finite. */
import type { Tensor } from "onnxruntime-node";
import { inputError } from "../../errors.ts";
import { openWeights } from "../../formats/weights.ts";
import { checkWeights, type Model, openModel } from "../../models/index.ts";
import type { Runtime } from "./runtime.ts";

export interface LoadedModel {
  readonly model: Model;
  /** Every weight by its checkpoint name, in the order of `model.shapes`. */
  readonly weights: ReadonlyMap<string, Float32Array>;
  /** The same memory as inputs of the runtime, for programs of the whole network. */
  readonly resident: () => Promise<Readonly<Record<string, Tensor>>>;
}

/** Reads and checks a folder. Throws input errors that name file and tensor. */
export async function loadModel(folder: string, runtime: Runtime): Promise<LoadedModel> {
  const model = await openModel(folder);
  const stored = await openWeights(folder);
  checkWeights(model, stored.tensors);
  const weights = new Map<string, Float32Array>();
  const inputs: Record<string, Tensor> = {};
  for (const { name, shape } of model.shapes) {
    const weight = await stored.float32(name);
    const place = firstNotFinite(weight);
    if (place >= 0) {
      const file = stored.tensors.get(name)!.file;
      throw inputError(
        `${file}: ${JSON.stringify(name)}`,
        `expected finite weights, found ${weight[place]} at element ${place}; the model is damaged`,
      );
    }
    weights.set(name, weight);
    inputs[name] = runtime.tensor(weight, shape);
  }
  return { model, weights, resident: async () => inputs };
}

/** Index of the first NaN or infinity, or -1. */
export function firstNotFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) {
    if (values[i]! - values[i]! !== 0) return i;
  }
  return -1;
}
