/**
 * Between the bytes of a checkpoint and the doubles that merge methods compute with. Widening goes by whole arrays where
 * it can: conversions between typed arrays run at the speed of memory, ten times that of a loop over entries. Results
 * are rounded once, from the double.
 */

import { float16ToFloat32, numberToHalf } from "../formats/float.ts";
import type { Dtype } from "../formats/safetensors.ts";
import { CHUNK_ENTRIES } from "./method.ts";

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

export function storedView(dtype: MergeDtype, buffer: ArrayBuffer, entries: number): StoredArray {
  if (dtype === "float64") return new Float64Array(buffer, 0, entries);
  if (dtype === "float32") return new Float32Array(buffer, 0, entries);
  return new Uint16Array(buffer, 0, entries);
}

/**
 * Widens `count` entries from `from` into `values` at `at`. Returns the first that became infinite by a cast, counted
 * from `from`, or -1.
 */
export type Widen = (stored: StoredArray, from: number, count: number, values: Float64Array, at: number) => number;

/** `cast`: the dtype each entry is rounded to when read; undefined, or one at least as wide, leaves it as it is. */
export function widener(dtype: MergeDtype, cast: MergeDtype | undefined): Widen {
  const widen = dtype === "bfloat16" ? widenBfloat16 : dtype === "float16" ? widenFloat16 : widenFloats;
  if (cast === undefined || promote([dtype, cast]) === cast) return widen;
  const round = rounder(cast);
  return (stored, from, count, values, at) => {
    widen(stored, from, count, values, at);
    return round(values.subarray(at, at + count));
  };
}

/** The first of `count` entries that is NaN or infinite, or -1. */
export function findNotFinite(dtype: MergeDtype, stored: StoredArray, count: number): number {
  const exponent = { float64: 0, float32: 0, float16: 0x7c00, bfloat16: 0x7f80 }[dtype];
  if (exponent === 0) return findNotFiniteFloat(stored, count);
  if (isFinite16(stored as Uint16Array, count, exponent)) return -1;
  for (let i = 0; i < count; i++) if ((stored[i]! & exponent) === exponent) return i;
  return -1;
}

/**
 * Two patterns at a time: without their signs, those of at least `exponent` carry into the sign's place when what is
 * missing from there to the exponent is added. Twice as fast as one by one, and no input is spared it.
 */
function isFinite16(stored: Uint16Array, count: number, exponent: number): boolean {
  const pairs = new Int32Array(stored.buffer, stored.byteOffset, count >>> 1);
  const missing = 0x8000 - exponent;
  const both = (missing << 16) | missing;
  let seen = (count & 1) === 1 ? (stored[count - 1]! & 0x7fff) + missing : 0;
  let i = 0;
  for (; i + 1 < pairs.length; i += 2) {
    seen |= ((pairs[i]! & 0x7fff7fff) + both) | ((pairs[i + 1]! & 0x7fff7fff) + both);
  }
  if (i < pairs.length) seen |= (pairs[i]! & 0x7fff7fff) + both;
  return (seen & 0x80008000) === 0;
}

function findNotFiniteFloat(stored: StoredArray, count: number): number {
  // The difference is NaN for infinities and NaN alone.
  for (let i = 0; i < count; i++) if (stored[i]! - stored[i]! !== 0) return i;
  return -1;
}

/** Rounds in place to what the dtype can hold; returns the index of the first entry that overflows, or -1. */
export function rounder(dtype: MergeDtype): (values: Float64Array) => number {
  const narrow = narrower(dtype);
  const widen = widener(dtype, undefined);
  return (values) => {
    const stored = storedView(dtype, new ArrayBuffer(8 * values.length), values.length);
    const bad = narrow(values, values.length, stored, 0);
    widen(stored, 0, values.length, values, 0);
    return bad;
  };
}

/** Rounds `count` values into `stored` at `at`; returns the first that is not finite there, or -1. */
export type Narrow = (values: Float64Array, count: number, stored: StoredArray, at: number) => number;

export function narrower(dtype: MergeDtype): Narrow {
  if (dtype === "bfloat16") return narrowToBfloat16;
  if (dtype === "float16") return narrowToFloat16;
  return (values, count, stored, at) => {
    let bad = -1;
    for (let i = 0; i < count; i++) {
      stored[at + i] = values[i]!;
      if (stored[at + i]! - stored[at + i]! !== 0 && bad < 0) bad = i;
    }
    return bad;
  };
}

function widenFloats(stored: StoredArray, from: number, count: number, values: Float64Array, at: number): number {
  values.set(stored.subarray(from, from + count), at);
  return -1;
}

function widenFloat16(stored: StoredArray, from: number, count: number, values: Float64Array, at: number): number {
  values.set(float16ToFloat32((stored as Uint16Array).slice(from, from + count)), at);
  return -1;
}

const widened = new Uint32Array(CHUNK_ENTRIES + 1);
const widenedBytes = new Uint8Array(widened.buffer);
const widenedFloats = new Float32Array(widened.buffer);

/**
 * A bfloat16 is the upper half of a float32: spread the patterns over 32-bit words, move all bytes up by two (a pattern
 * then lies in the upper half of its word, and the zeros above it in the lower half of the next), convert.
 */
function widenBfloat16(stored: StoredArray, from: number, count: number, values: Float64Array, at: number): number {
  for (let done = 0; done < count; done += CHUNK_ENTRIES) {
    const part = Math.min(CHUNK_ENTRIES, count - done);
    widened.set(stored.subarray(from + done, from + done + part));
    widenedBytes.copyWithin(2, 0, 4 * part);
    widenedBytes.fill(0, 0, 2);
    values.set(widenedFloats.subarray(0, part), at + done);
  }
  return -1;
}

const narrow32 = new Float32Array(CHUNK_ENTRIES);
const narrow32Bits = new Int32Array(narrow32.buffer);

/** By way of float32, whose ties are looked at once more: what is rare costs a flag an entry, and no branch. */
function narrowToBfloat16(values: Float64Array, count: number, stored: StoredArray, at: number): number {
  for (let begin = 0; begin < count; begin += narrow32.length) {
    const part = Math.min(narrow32.length, count - begin);
    const out = stored.subarray(at + begin, at + begin + part) as Uint16Array;
    narrow32.set(values.subarray(begin, begin + part));
    let carried = 0;
    let tied = 0;
    for (let i = 0; i < part; i++) {
      const bits = narrow32Bits[i]!;
      const pattern = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
      carried |= (pattern & 0x7fff) + 0x80;
      tied |= Number((bits & 0xffff) === 0x8000);
      out[i] = pattern;
    }
    if (tied !== 0) settleTies(values.subarray(begin, begin + part), out);
    if ((carried & 0x8000) === 0) continue;
    for (let i = 0; i < part; i++) if ((out[i]! & 0x7f80) === 0x7f80) return begin + i;
  }
  return -1;
}

/** Of a float32 halfway between two bfloat16 only the double knows on which side it lay. */
function settleTies(values: Float64Array, out: Uint16Array): void {
  for (let i = 0; i < out.length; i++) {
    const bits = narrow32Bits[i]!;
    if ((bits & 0xffff) !== 0x8000) continue;
    const excess = Math.abs(values[i]!) - Math.abs(narrow32[i]!);
    if (excess !== 0) out[i] = (bits >>> 16) + Number(excess > 0);
  }
}

function narrowToFloat16(values: Float64Array, count: number, stored: StoredArray, at: number): number {
  let bad = -1;
  for (let i = 0; i < count; i++) {
    const pattern = numberToHalf(values[i]!);
    if ((pattern & 0x7c00) === 0x7c00 && bad < 0) bad = i;
    stored[at + i] = pattern;
  }
  return bad;
}
