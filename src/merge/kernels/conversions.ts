/**
 * Between the bytes of a checkpoint and doubles, for memory without vectors. Widening goes by whole arrays where it can:
 * conversions between typed arrays run at the speed of memory, ten times that of a loop over entries. Results are
 * rounded once, from the double. All return 1 where an entry that was read, or written, is NaN or infinite, else 0.
 */
import { float16ToFloat32 } from "../../formats/float.ts";
import { CHUNK_ENTRIES } from "../chunk.ts";

const widened = new Uint32Array(CHUNK_ENTRIES + 1);
const widenedBytes = new Uint8Array(widened.buffer);
const widenedFloats = new Float32Array(widened.buffer);

/**
 * A bfloat16 is the upper half of a float32: spread the patterns over 32-bit words, move all bytes up by two (a pattern
 * then lies in the upper half of its word, and the zeros above it in the lower half of the next), convert.
 */
export function widenBfloat16(stored: Uint16Array, from: number, count: number, values: Float64Array): number {
  for (let done = 0; done < count; done += CHUNK_ENTRIES) {
    const part = Math.min(CHUNK_ENTRIES, count - done);
    widened.set(stored.subarray(from + done, from + done + part));
    widenedBytes.copyWithin(2, 0, 4 * part);
    widenedBytes.fill(0, 0, 2);
    values.set(widenedFloats.subarray(0, part), done);
  }
  return reaches(stored, from, count, 0x7f80);
}

export function widenFloat16(stored: Uint16Array, from: number, count: number, values: Float64Array): number {
  values.set(float16ToFloat32(stored.slice(from, from + count)));
  return reaches(stored, from, count, 0x7c00);
}

export function widenFloat32(stored: Float32Array, from: number, count: number, values: Float64Array): number {
  values.set(stored.subarray(from, from + count));
  return isInfinite(values, 0, count);
}

export function narrowFloat32(values: Float64Array, count: number, stored: Float32Array, at: number): number {
  stored.set(values.subarray(0, count), at);
  return isInfinite(stored, at, count);
}

const floats = new Float32Array(CHUNK_ENTRIES);
const floatBits = new Int32Array(floats.buffer);

/** By way of float32, whose ties are looked at once more: what is rare costs a flag an entry, and no branch. */
export function narrowBfloat16(values: Float64Array, count: number, stored: Uint16Array, at: number): number {
  for (let begin = 0; begin < count; begin += CHUNK_ENTRIES) {
    const part = Math.min(CHUNK_ENTRIES, count - begin);
    const out = stored.subarray(at + begin, at + begin + part);
    floats.set(values.subarray(begin, begin + part));
    let tied = 0;
    for (let i = 0; i < part; i++) {
      const bits = floatBits[i]!;
      out[i] = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
      tied |= Number((bits & 0xffff) === 0x8000);
    }
    if (tied !== 0) settleTies(values.subarray(begin, begin + part), out);
  }
  return reaches(stored, at, count, 0x7f80);
}

/** Of a float32 halfway between two bfloat16 only the double knows on which side it lay. */
function settleTies(values: Float64Array, out: Uint16Array): void {
  for (let i = 0; i < out.length; i++) {
    const bits = floatBits[i]!;
    if ((bits & 0xffff) !== 0x8000) continue;
    const excess = Math.abs(values[i]!) - Math.abs(floats[i]!);
    if (excess !== 0) out[i] = (bits >>> 16) + Number(excess > 0);
  }
}

/** 1 where all bits of `exponent` are set in one: what is missing to them then carries into the sign's place. */
function reaches(patterns: Uint16Array, from: number, count: number, exponent: number): number {
  let seen = 0;
  for (let i = from; i < from + count; i++) seen |= (patterns[i]! & 0x7fff) + 0x8000 - exponent;
  return (seen >>> 15) & 1;
}

function isInfinite(values: Float32Array | Float64Array, from: number, count: number): number {
  // The difference is NaN for infinities and NaN alone.
  for (let i = from; i < from + count; i++) if (values[i]! - values[i]! !== 0) return 1;
  return 0;
}
