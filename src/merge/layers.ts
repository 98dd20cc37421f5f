/**
 * Where a tensor stands in a model, by its name alone: the first number between dots is its layer, and what is before
 * it names the stack of layers. So experts (`layers.3.experts.0`), vision towers beside a language model, encoders and
 * decoders all have their layers without anything being known of the architecture.
 */
import type { Depth } from "./parameters.ts";

export interface LayerPlace {
  /** What precedes the layer's number: `model.layers`. */
  readonly stack: string;
  readonly layer: number;
  /** What follows it. */
  readonly rest: string;
}

/** Undefined for a tensor outside of the layers. */
export function layerPlace(tensor: string): LayerPlace | undefined {
  const words = tensor.split(".");
  const at = words.findIndex((word) => /^\d{1,6}$/.test(word));
  if (at < 0) return undefined;
  return { stack: words.slice(0, at).join("."), layer: Number(words[at]), rest: words.slice(at + 1).join(".") };
}

/** The layer in a tensor's name. */
export function layerOf(tensor: string): number | undefined {
  return layerPlace(tensor)?.layer;
}

/** How many layers each stack has, by its name: one more than the highest number. */
export function countLayers(tensors: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const tensor of tensors) {
    const place = layerPlace(tensor);
    if (place !== undefined) counts.set(place.stack, Math.max(counts.get(place.stack) ?? 0, place.layer + 1));
  }
  return counts;
}

/** Depths of tensors by their names, in stacks of as many layers as the names know. */
export function depthsOf(tensors: Iterable<string>): (tensor: string) => Depth {
  const counts = countLayers(tensors);
  return (tensor) => {
    const place = layerPlace(tensor);
    return place === undefined ? 0 : depthOf(place.layer, counts.get(place.stack)!);
  };
}

export function depthOf(layer: number, layers: number): Depth {
  return layers === 1 ? 1 : layer / (layers - 1);
}

/** The stack that holds most of the weights: the one that slices cut. */
export function mainStack(tensors: Iterable<readonly [string, { readonly byteLength: number }]>): string | undefined {
  const bytes = new Map<string, number>();
  for (const [tensor, { byteLength }] of tensors) {
    const stack = layerPlace(tensor)?.stack;
    if (stack !== undefined) bytes.set(stack, (bytes.get(stack) ?? 0) + byteLength);
  }
  return [...bytes].reduce<readonly [string, number] | undefined>(
    (most, entry) => (most === undefined || entry[1] > most[1] ? entry : most),
    undefined,
  )?.[0];
}
