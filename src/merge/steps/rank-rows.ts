/** Rows of every model's update, put together from chunks and ordered by magnitude. */
import type { BlockMemory } from "../block-memory.ts";
import { CHUNK_ENTRIES, type Pass } from "../chunk.ts";
import { forEachRun, rowsOf } from "./groups.ts";
import { createUpdates } from "./updates.ts";

/** `order[rank]` is the place in the row of the entry with that rank: 0 the smallest; ties by place. */
export type VisitRow = (row: number, model: number, order: Uint32Array) => void;

/** One pass that calls `visit` for every row and model as soon as the row is whole. */
export function rankRows(width: number, models: number, memory: BlockMemory, visit: VisitRow): Pass {
  const rows = new Float32Array(models * width);
  const updatesOf = createUpdates(models, memory);
  const order = createOrder(width);
  let filled = 0;
  return (chunk) => {
    const updates = updatesOf(chunk);
    // Runs of all rows there can be: the tensor's own number is not needed.
    forEachRun(rowsOf(Number.MAX_SAFE_INTEGER, width), chunk, (row, from, to) => {
      for (let j = 0; j < models; j++) {
        for (let i = from; i < to; i++) rows[j * width + filled + i - from] = Math.abs(updates[j * CHUNK_ENTRIES + i]!);
      }
      filled += to - from;
      if (filled < width) return;
      filled = 0;
      for (let j = 0; j < models; j++) visit(row, j, order(rows.subarray(j * width, (j + 1) * width)));
    });
  };
}

const DIGIT_BITS = 11;
const DIGITS = 3;

/**
 * A radix sort of indices by float32 bit patterns, which order as their values where none is negative: three stable
 * passes of 11 bits.
 */
function createOrder(width: number): (values: Float32Array) => Uint32Array {
  let order = new Uint32Array(width);
  let next = new Uint32Array(width);
  const places = new Uint32Array(1 << DIGIT_BITS);
  return (values) => {
    const bits = new Uint32Array(values.buffer, values.byteOffset, width);
    for (let i = 0; i < width; i++) order[i] = i;
    for (let digit = 0; digit < DIGITS; digit++) {
      const shift = digit * DIGIT_BITS;
      places.fill(0);
      for (let i = 0; i < width; i++) places[(bits[i]! >>> shift) & (places.length - 1)]!++;
      let sum = 0;
      for (let bin = 0; bin < places.length; bin++) {
        const count = places[bin]!;
        places[bin] = sum;
        sum += count;
      }
      for (let i = 0; i < width; i++) {
        const index = order[i]!;
        next[places[(bits[index]! >>> shift) & (places.length - 1)]!++] = index;
      }
      [order, next] = [next, order];
    }
    return order;
  };
}
