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
 * Widens `count` entries from `from` on. Returns the first that is not finite, counted from `from`, be it so in the file
 * or by a cast, or -1.
 */
export type Widen = (stored: StoredArray, from: number, count: number, values: Float64Array) => number;

/** `cast`: the dtype each entry is rounded to when read; undefined, or one at least as wide, leaves it as it is. */
export function widener(dtype: MergeDtype, cast: MergeDtype | undefined): Widen {
  const convert = WIDENERS[dtype] as Widen;
  if (cast === undefined || promote([dtype, cast]) === cast) {
    return (stored, from, count, values) =>
      convert(stored, from, count, values) === 0 ? -1 : findNotFinite(values, count);
  }
  const round = rounder(cast);
  return (stored, from, count, values) => {
    convert(stored, from, count, values);
    return round(values, count);
  };
}

/**
 * Rounds `count` values in place to what the dtype can hold; returns the first that overflows, or -1. `room` is for them
 * in between: 8 bytes an entry.
 */
export function rounder(dtype: MergeDtype, room?: Uint8Array): (values: Float64Array, count: number) => number {
  const narrow = narrower(dtype);
  const widen = widener(dtype, undefined);
  return (values, count) => {
    const stored = storedView(dtype, room ?? new Uint8Array(8 * count), count);
    const bad = narrow(values, count, stored, 0);
    widen(stored, 0, count, values);
    return bad;
  };
}

/** Rounds `count` values into `stored` at `at`; returns the first that is not finite there, or -1. */
export type Narrow = (values: Float64Array, count: number, stored: StoredArray, at: number) => number;

export function narrower(dtype: MergeDtype): Narrow {
  const convert = NARROWERS[dtype] as Narrow;
  const widen = WIDENERS[dtype] as Widen;
  return (values, count, stored, at) => {
    if (convert(values, count, stored, at) === 0) return -1;
    const rounded = new Float64Array(count);
    widen(stored, at, count, rounded);
    return findNotFinite(rounded, count);
  };
}

/** All return 0 where everything is known to be finite. Where the arrays lie in memory for it they work in vectors. */
const WIDENERS = {
  bfloat16: widenBfloat16,
  float16: widenFloat16,
  float32: widenFloat32,
  float64: (stored: Float64Array, from: number, count: number, values: Float64Array): number => {
    values.set(stored.subarray(from, from + count));
    return 1;
  },
};
const NARROWERS = {
  bfloat16: narrowBfloat16,
  float16: narrowFloat16,
  float32: narrowFloat32,
  float64: (values: Float64Array, count: number, stored: Float64Array, at: number): number => {
    stored.set(values.subarray(0, count), at);
    return 1;
  },
};

function narrowFloat16(values: Float64Array, count: number, stored: Uint16Array, at: number): number {
  let infinite = 0;
  for (let i = 0; i < count; i++) {
    const pattern = numberToHalf(values[i]!);
    infinite |= Number((pattern & 0x7c00) === 0x7c00);
    stored[at + i] = pattern;
  }
  return infinite;
}

function findNotFinite(values: Float64Array, count: number): number {
  // The difference is NaN for infinities and NaN alone.
  for (let i = 0; i < count; i++) if (values[i]! - values[i]! !== 0) return i;
  return -1;
}
