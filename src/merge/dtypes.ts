/**
 * The dtypes of weights, and the ways between the bytes of a checkpoint and the doubles that merge methods compute with.
 * Results are rounded once, from the double.
 */

import { numberToHalf } from "../formats/float.ts";
import type { Dtype } from "../formats/safetensors.ts";
import { narrowBfloat16, narrowFloat32, widenBfloat16, widenFloat16, widenFloat32 } from "./kernels/index.ts";

/** Names as in mergekit and `torch_dtype`. */
export const MERGE_DTYPES = ["float64", "float32", "float16", "bfloat16"] as const;
export type MergeDtype = (typeof MERGE_DTYPES)[number];

/** An array as it lies in the file. */
export type StoredArray = Float64Array | Float32Array | Uint16Array;

export const STORED_DTYPE: Readonly<Record<MergeDtype, Dtype>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
};

/** Undefined for dtypes that hold no weights: integers and booleans. */
export function mergeDtypeOf(dtype: Dtype): MergeDtype | undefined {
  return MERGE_DTYPES.find((name) => STORED_DTYPE[name] === dtype);
}

/** The narrowest dtype that holds all of them without loss of range (torch's promotion rule). */
export function promote(dtypes: readonly MergeDtype[]): MergeDtype {
  if (dtypes.includes("float64")) return "float64";
  const distinct = new Set(dtypes);
  return distinct.size === 1 ? dtypes[0]! : "float32";
}

/** The first `entries` of the bytes as an array of the dtype. */
export function storedView(dtype: MergeDtype, { buffer, byteOffset }: Uint8Array, entries: number): StoredArray {
  if (dtype === "float64") return new Float64Array(buffer, byteOffset, entries);
  if (dtype === "float32") return new Float32Array(buffer, byteOffset, entries);
  return new Uint16Array(buffer, byteOffset, entries);
}

/**
 * Widens `count` entries. Returns the first that is not finite, be it so in the file or by a cast, or -1.
 */
export type Widen = (stored: StoredArray, count: number, values: Float64Array) => number;

/** `cast`: the dtype each entry is rounded to when read; undefined, or one at least as wide, leaves it as it is. */
export function widener(dtype: MergeDtype, cast: MergeDtype | undefined): Widen {
  const convert = WIDENERS[dtype] as (stored: StoredArray, count: number, values: Float64Array) => number;
  const widen: Widen = (stored, count, values) =>
    convert(stored, count, values) === 0 ? -1 : findNotFinite(values, count);
  if (cast === undefined || promote([dtype, cast]) === cast) return widen;
  const round = rounder(cast);
  return (stored, count, values) => {
    convert(stored, count, values);
    return round(values, count);
  };
}

/** Rounds `count` values in place to what the dtype can hold; returns the first that overflows, or -1. */
export function rounder(dtype: MergeDtype): (values: Float64Array, count: number) => number {
  const narrow = narrower(dtype);
  const widen = widener(dtype, undefined);
  let room = new Uint8Array(0);
  return (values, count) => {
    if (room.byteLength < 8 * count) room = new Uint8Array(8 * count);
    const stored = storedView(dtype, room, count);
    const bad = narrow(values, count, stored);
    widen(stored, count, values);
    return bad;
  };
}

/** Rounds `count` values into `stored`; returns the first that is not finite there, or -1. */
export type Narrow = (values: Float64Array, count: number, stored: StoredArray) => number;

export function narrower(dtype: MergeDtype): Narrow {
  const convert = NARROWERS[dtype] as (values: Float64Array, count: number, stored: StoredArray) => number;
  const widen = WIDENERS[dtype] as (stored: StoredArray, count: number, values: Float64Array) => number;
  return (values, count, stored) => {
    if (convert(values, count, stored) === 0) return -1;
    const rounded = new Float64Array(count);
    widen(stored, count, rounded);
    return findNotFinite(rounded, count);
  };
}

/** All return 0 where everything is finite, else 1. Where the arrays lie in memory for it they work in vectors. */
const WIDENERS = {
  bfloat16: widenBfloat16,
  float16: widenFloat16,
  float32: widenFloat32,
  float64: copyFloat64,
};
const NARROWERS = {
  bfloat16: narrowBfloat16,
  float16: narrowFloat16,
  float32: narrowFloat32,
  float64: copyFloat64,
};

function copyFloat64(from: Float64Array, count: number, to: Float64Array): number {
  to.set(from.subarray(0, count));
  return Number(findNotFinite(to, count) >= 0);
}

function narrowFloat16(values: Float64Array, count: number, stored: Uint16Array): number {
  let infinite = 0;
  for (let i = 0; i < count; i++) {
    const pattern = numberToHalf(values[i]!);
    infinite |= Number((pattern & 0x7c00) === 0x7c00);
    stored[i] = pattern;
  }
  return infinite;
}

function findNotFinite(values: Float64Array, count: number): number {
  // The difference is NaN for infinities and NaN alone.
  for (let i = 0; i < count; i++) if (values[i]! - values[i]! !== 0) return i;
  return -1;
}
