/**
 * Keys and values of the positions that generation has read, in memory that the runtime reads in place. A sequence has
 * a slot; every layer has two arrays [slots * keyValueHeads, capacity, headSize], so that one slot, or all of them,
 * lie together. Programs give new keys and values back in a small array of their own, and `store` puts them in.
 */

import type { Tensor } from "onnxruntime-node";
import type { Model } from "../../../models/index.ts";
import { emptyTable } from "../../../table.ts";
import { refuseBeyondMemory } from "../memory-check.ts";
import { cacheInputs } from "../programs/decode.ts";
import type { Runtime } from "../runtime.ts";

export interface KeyValueCache {
  readonly slots: number;
  /** Positions a slot has place for. */
  readonly capacity: number;
  /** [slots] positions stored. */
  readonly filled: Int32Array;
  /** [slots * keyValueHeads, capacity, headSize] each: key and value of every layer. */
  readonly arrays: readonly Float32Array[];
  readonly keyValueHeads: number;
  readonly headSize: number;
}

/** Bytes that one position of one sequence takes. */
export function positionBytes({ config }: Model): number {
  return 2 * config.layers * config.keyValueHeads * config.headSize * Float32Array.BYTES_PER_ELEMENT;
}

/** An empty cache; what will not fit into memory is refused. */
export function createCache(model: Model, slots: number, capacity: number): KeyValueCache {
  const { layers, keyValueHeads, headSize } = model.config;
  const positions = slots * capacity;
  refuseBeyondMemory(
    model.folder,
    positions * positionBytes(model),
    `keeping ${positions} positions of a conversation`,
  );
  const size = positions * keyValueHeads * headSize;
  const arrays = Array.from({ length: 2 * layers }, () => new Float32Array(size));
  return { slots, capacity, filled: new Int32Array(slots), arrays, keyValueHeads, headSize };
}

/** The runtime's inputs for `count` slots from `first` on. */
export function cacheTensors(
  cache: KeyValueCache,
  runtime: Runtime,
  first: number = 0,
  count: number = cache.slots,
): Record<string, Tensor> {
  const { capacity, arrays, keyValueHeads, headSize } = cache;
  const slotSize = keyValueHeads * capacity * headSize;
  const shape = [count * keyValueHeads, capacity, headSize];
  const tensors: Record<string, Tensor> = emptyTable();
  for (let layer = 0; layer < arrays.length / 2; layer++) {
    const { key, value } = cacheInputs(layer);
    for (const [name, array] of [
      [key, arrays[2 * layer]!],
      [value, arrays[2 * layer + 1]!],
    ] as const) {
      tensors[name] = runtime.tensor(array.subarray(first * slotSize, (first + count) * slotSize), shape);
    }
  }
  tensors.filled = runtime.tensor(cache.filled.subarray(first, first + count), [count]);
  return tensors;
}

/** The keys and values of a pass over `batch` sequences of `length` positions: [arrays, batch, heads, length, size]. */
export interface FreshPositions {
  readonly data: Float32Array;
  readonly batch: number;
  readonly length: number;
}

/** Appends the first `count` positions of sequence `b` of a pass to a slot. */
export function store(cache: KeyValueCache, slot: number, fresh: FreshPositions, b: number, count: number): void {
  const { capacity, arrays, keyValueHeads, headSize } = cache;
  const start = cache.filled[slot]!;
  arrays.forEach((array, index) => {
    for (let head = 0; head < keyValueHeads; head++) {
      const from = ((index * fresh.batch + b) * keyValueHeads + head) * fresh.length * headSize;
      const to = ((slot * keyValueHeads + head) * capacity + start) * headSize;
      array.set(fresh.data.subarray(from, from + count * headSize), to);
    }
  });
  cache.filled[slot] = start + count;
}

/** Copies a slot, or its first `count` positions, into another slot of the same or another cache of the same model. */
export function copySlot(
  from: KeyValueCache,
  slot: number,
  to: KeyValueCache,
  target: number,
  count: number = from.filled[slot]!,
): void {
  const { keyValueHeads, headSize } = from;
  from.arrays.forEach((array, index) => {
    for (let head = 0; head < keyValueHeads; head++) {
      const start = (slot * keyValueHeads + head) * from.capacity * headSize;
      const target0 = (target * keyValueHeads + head) * to.capacity * headSize;
      to.arrays[index]!.set(array.subarray(start, start + count * headSize), target0);
    }
  });
  to.filled[target] = count;
}
