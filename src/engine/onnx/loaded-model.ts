/**
 * A model folder opened in the worker: its config and its weights as float32, checked to be finite. Where they are kept
 * is said by `placement.ts`; whoever needs all of them in memory asks for `resident()`.
 */

import type { Tensor } from "onnxruntime-node";
import type { TensorInfo } from "../../formats/safetensors.ts";
import { openWeights, type Weights } from "../../formats/weights.ts";
import { arrangePanels } from "../../graph/ops/panel-product.ts";
import { checkWeights, type Model, openModel } from "../../models/index.ts";
import { emptyTable } from "../../table.ts";
import { refuseBeyondMemory } from "./memory-check.ts";
import { PASS_POSITIONS, placementOf } from "./placement.ts";
import { panelShapes } from "./programs/network.ts";
import type { Runtime, Tensors } from "./runtime.ts";
import { streamedNetwork } from "./streamed/network.ts";
import type { StreamedModel } from "./streamed/rows.ts";
import { openWeightStream, refuseNotFinite, windowBytes } from "./streamed/weights.ts";

/** All as in the checkpoint, or matrices in panels (`panel-product.ts`), where tokens are generated. */
export type WeightLayout = "rows" | "panels";

export interface LoadedModel {
  readonly model: Model;
  /** Every weight by its checkpoint name, in the order of `model.shapes`; of a streamed model none before `resident()`. */
  readonly weights: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
  /** Tensors of the folder that play no part in the network and go along into what is trained from it. */
  readonly carried: readonly TensorInfo[];
  /**
   * The same memory as inputs of the runtime, for programs of the whole network. A streamed model is read first. Weights lie
   * in one layout at a time, and are rearranged in place where another is asked for, a nanosecond or two a parameter: nobody
   * else may be reading them.
   */
  readonly resident: (layout: WeightLayout) => Promise<Tensors>;
  /** Reads the weights layer by layer, for teacher passes; null where they are all in memory. */
  readonly streamed: StreamedModel | null;
}

/**
 * Opens and checks a folder; weights of more than `residentBytes` in single precision are streamed. Throws input errors
 * that name file and tensor, and refuses what will not fit.
 */
export async function loadModel(folder: string, runtime: Runtime, residentBytes: number): Promise<LoadedModel> {
  const model = await openModel(folder);
  const stored = await openWeights(folder);
  checkWeights(model, stored.tensors);
  const carried = [...stored.tensors.values()].filter(({ name }) => model.isCarried?.(name));
  const weights = new Map<string, Float32Array<ArrayBuffer>>();
  let reading: Promise<Arrange> | undefined;
  const resident = async (layout: WeightLayout): Promise<Tensors> => {
    reading ??= readAll(model, stored, runtime, weights);
    return (await reading)(layout);
  };
  if (placementOf(model.parameters, residentBytes) === "resident") {
    await resident("rows");
    return { model, weights, carried, resident, streamed: null };
  }
  refuseBeyondMemory(folder, streamedBytes(model), "reading it layer by layer");
  const stream = openWeightStream(model, stored, runtime);
  return {
    model,
    weights,
    carried,
    resident,
    streamed: { model, weights: stream, network: streamedNetwork(model, stream, runtime) },
  };
}

type Arrange = (layout: WeightLayout) => Tensors;

async function readAll(
  model: Model,
  stored: Weights,
  runtime: Runtime,
  weights: Map<string, Float32Array<ArrayBuffer>>,
): Promise<Arrange> {
  refuseBeyondMemory(model.folder, 4 * model.parameters, "holding its weights in single precision");
  const rows: Record<string, Tensor> = emptyTable();
  for (const { name, shape } of model.shapes) {
    const weight = await stored.float32(name);
    refuseNotFinite(stored, name, weight);
    weights.set(name, weight);
    rows[name] = runtime.tensor(weight, shape);
  }
  const panels: Record<string, Tensor> = Object.assign(emptyTable<Tensor>(), rows);
  const panelled = panelShapes(model);
  for (const [name, shape] of panelled) panels[name] = runtime.tensor(weights.get(name)!, shape);
  let current: WeightLayout = "rows";
  return (layout) => {
    if (layout !== current) {
      for (const [name, shape] of panelled) arrangePanels(weights.get(name)!, shape[2]!, layout);
    }
    current = layout;
    return layout === "rows" ? rows : panels;
  };
}

/** Weights in memory and states of a whole pass; the activations of one micro-batch come on top. */
function streamedBytes(model: Model): number {
  return windowBytes(model) + 4 * PASS_POSITIONS * model.config.hiddenSize;
}
