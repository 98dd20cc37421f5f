/**
 * The weights of a model that is larger than memory, or would fill most of it: one window of memory as large as the
 * largest layer, through which the layers and then the head, block after block, pass on their way from the safetensors
 * files to the runtime. Whatever is read into the window overwrites what was there.
 */

import type { Tensor } from "onnxruntime-node";
import { inputError } from "../../../errors.ts";
import type { Weights } from "../../../formats/weights.ts";
import { elements } from "../../../graph/graph.ts";
import type { Model, WeightShape } from "../../../models/index.ts";
import { emptyTable } from "../../../table.ts";
import type { Runtime, Tensors } from "../runtime.ts";

export interface WeightStream {
  /** A layer's weights by their names after its prefix, and those outside all layers by their whole names. */
  layer(index: number): Promise<Tensors>;
  /** The weights outside the layers, embedding and head not among them: read once and kept. */
  outside(): Promise<Tensors>;
  /** Rows `first` to `first + count - 1` of the head: [count, hidden]. */
  head(first: number, count: number): Promise<Tensor>;
  /** Rows of the head that fit into the window at once. */
  readonly headRows: number;
  /** Fills `into` [ids, hidden] with rows of the embedding. */
  lookUp(ids: Int32Array, into: Float32Array): Promise<void>;
  /** Bytes of the window. */
  readonly bytes: number;
}

/** A block of the head, unless a layer is larger still: enough for the products' full speed. */
const HEAD_BLOCK_BYTES = 2 ** 26;

/** Tensors begin at multiples of this many floats in the window: a cache line. */
const ALIGNMENT = 16;

/** Nothing is read yet. What is not finite is refused when it is first read, by file, tensor and element. */
export function openWeightStream(
  model: Model,
  stored: Weights,
  runtime: Runtime,
  headBlockBytes: number = HEAD_BLOCK_BYTES,
): WeightStream {
  const { hiddenSize, vocabularySize } = model.config;
  const { layers, outside } = byLayer(model);
  const headRows = Math.min(vocabularySize, Math.max(1, Math.floor(headBlockBytes / (4 * hiddenSize))));
  const window = new Float32Array(Math.max(headRows * hiddenSize, ...layers.map(paddedElements)));
  const checked = new Set<string>();
  let kept: Tensors | undefined;

  const read = async (name: string, into: Float32Array, first = 0): Promise<void> => {
    await stored.read(name, into, first);
    const key = `${first}/${name}`;
    if (checked.has(key)) return;
    refuseNotFinite(stored, name, into, (place) => first + place);
    checked.add(key);
  };
  const outsideLayers = async (): Promise<Tensors> => {
    if (kept !== undefined) return kept;
    const inputs: Record<string, Tensor> = emptyTable();
    for (const { name, shape } of outside) {
      const values = new Float32Array(elements(shape));
      await read(name, values);
      inputs[name] = runtime.tensor(values, shape);
    }
    kept = inputs;
    return inputs;
  };
  return {
    headRows,
    bytes: window.byteLength,
    outside: outsideLayers,
    layer: async (index) => {
      const inputs = Object.assign(emptyTable<Tensor>(), await outsideLayers());
      const prefix = model.layerPrefix(index);
      let start = 0;
      for (const { name, shape } of layers[index]!) {
        const values = window.subarray(start, start + elements(shape));
        await read(name, values);
        inputs[name.slice(prefix.length)] = runtime.tensor(values, shape);
        start += padded(values.length);
      }
      return inputs;
    },
    head: async (first, count) => {
      const values = window.subarray(0, count * hiddenSize);
      await read(model.head, values, first * hiddenSize);
      return runtime.tensor(values, [count, hiddenSize]);
    },
    lookUp: async (ids, into) => {
      await stored.readRows(model.embedding, ids, into);
      refuseNotFinite(stored, model.embedding, into, (place) => {
        return ids[Math.floor(place / hiddenSize)]! * hiddenSize + (place % hiddenSize);
      });
    },
  };
}

/** Bytes that the window of such a model takes. */
export function windowBytes(model: Model): number {
  const { hiddenSize, vocabularySize } = model.config;
  const head = Math.min(HEAD_BLOCK_BYTES, 4 * hiddenSize * vocabularySize);
  return Math.max(head, ...byLayer(model).layers.map((shapes) => 4 * paddedElements(shapes)));
}

/** The weights of each layer, and those outside all layers without embedding and head. */
function byLayer(model: Model): { readonly layers: readonly WeightShape[][]; readonly outside: WeightShape[] } {
  const prefixes = Array.from({ length: model.config.layers }, (_, index) => model.layerPrefix(index));
  const layers: WeightShape[][] = prefixes.map(() => []);
  const outside: WeightShape[] = [];
  for (const weight of model.shapes) {
    const index = prefixes.findIndex((prefix) => weight.name.startsWith(prefix));
    if (index >= 0) layers[index]!.push(weight);
    else if (weight.name !== model.embedding && weight.name !== model.head) outside.push(weight);
  }
  return { layers, outside };
}

function padded(count: number): number {
  return Math.ceil(count / ALIGNMENT) * ALIGNMENT;
}

function paddedElements(shapes: readonly WeightShape[]): number {
  return shapes.reduce((sum, { shape }) => sum + padded(elements(shape)), 0);
}

/** Throws where a value is NaN or infinite; `element` is its place in the tensor from that in `values`. */
export function refuseNotFinite(
  stored: Weights,
  name: string,
  values: Float32Array,
  element: (place: number) => number = (place) => place,
): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i]! - values[i]! !== 0) {
      throw inputError(
        `${stored.tensors.get(name)!.file}: ${JSON.stringify(name)}`,
        `expected finite weights, found ${values[i]} at element ${element(i)}; the model is damaged`,
      );
    }
  }
}
