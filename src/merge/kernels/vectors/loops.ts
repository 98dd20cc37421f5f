/** What the kernels in vectors are built from: constants, addresses, and walks over entries, models and lanes. */

import { type Code, f64, f64x2, i32, type Local, repeat, v128 } from "../../../vectors/assembler.ts";
import { CHUNK_ENTRIES } from "../../chunk.ts";

export const words = (value: number): Code => v128.const(new Uint8Array(new Uint32Array(4).fill(value).buffer));
export const halves = (value: number): Code => v128.const(new Uint8Array(new Uint16Array(8).fill(value).buffer));
export const doubles = (...values: number[]): Code => v128.const(new Uint8Array(new Float64Array(values).buffer));
export const ZERO: Code = words(0);
export const ONE: Code = doubles(1, 1);
export const SIGN: Code = doubles(-0, -0);

/** From one model's entries of a chunk to the next one's. */
export const STRIDE_BYTES: number = 8 * CHUNK_ENTRIES;
/** Vectors of two doubles that a turn of a loop takes. */
export const VECTORS: readonly number[] = [0, 1, 2, 3];
export const TURN: number = 2 * VECTORS.length;

/** The address of entry `index` in an array of elements of 2^`shift` bytes. */
export const entry = (array: Local, index: Local, shift: number): Code =>
  i32.add(array.get, i32.shl(index.get, i32.const(shift)));
export const add = (to: Local, value: Code): Code => to.set(f64x2.add(to.get, value));
export const advance = (pointer: Local, bytes: number): Code => pointer.set(i32.add(pointer.get, i32.const(bytes)));

/** An array and how many times two its elements' bytes are. */
export type Pointer = readonly [pointer: Local, shift: number];

/** Runs `body` for every `turn` entries of `count`, with the arrays' pointers at the first of them. `end` is its own. */
export function walk(
  [[first, shift], ...others]: readonly [Pointer, ...Pointer[]],
  count: Local,
  end: Local,
  turn: number,
  body: readonly Code[],
): Code {
  const moves = others.map(([pointer, own]) => advance(pointer, turn << own));
  return [...end.set(entry(first, count, shift)), ...repeat(first, end.get, turn << shift, [...body, ...moves])];
}

/** Runs `body` for every model: with `place` at its entries of this turn, and `weight` in both lanes of its own. */
export function everyModel(
  models: Local,
  place: Local,
  weights: Local,
  pointer: Local,
  last: Local,
  weight: Local,
  body: readonly Code[],
): Code[] {
  return [
    place.set(models.get),
    pointer.set(weights.get),
    repeat(pointer, last.get, 8, [weight.set(v128.loadSplat64(pointer.get)), ...body, advance(place, STRIDE_BYTES)]),
  ];
}

/** Moves to the entries of the `j`-th model. */
export const toModel = (array: Local, j: Local): Code =>
  array.set(i32.add(array.get, i32.shl(j.get, i32.const(Math.log2(STRIDE_BYTES)))));
/** The difference of two vectors of the arrays. */
export const difference = (a: Local, b: Local, offset: number): Code =>
  f64x2.sub(v128.load(a.get, offset), v128.load(b.get, offset));

/** Adds `term` of all entries, two and two, to four lanes that begin at 0. */
export const addLanes = (
  arrays: readonly [Pointer, ...Pointer[]],
  count: Local,
  end: Local,
  even: Local,
  odd: Local,
  term: (offset: number) => Code,
): Code[] => [
  even.set(ZERO),
  odd.set(ZERO),
  walk(arrays, count, end, 4, [add(even, term(0)), add(odd, term(16))]),
  even.set(f64x2.add(even.get, odd.get)),
];
export const sumOfLanes = (sums: Local): Code => f64.add(f64x2.extract(sums.get, 0), f64x2.extract(sums.get, 1));
