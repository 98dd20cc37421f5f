/**
 * Float16 (IEEE 754 binary16) and bfloat16 (the upper half of a float32) to float32 and back, bit patterns in
 * Uint16Arrays. Widening is exact and goes through a table of all 65,536 patterns; narrowing rounds to nearest, ties
 * to even, keeps subnormals, overflows to infinity and keeps the upper bits of a NaN's payload.
 */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Widens one bit pattern. */
export function halfToNumber(pattern: number): number {
  const exponent = (pattern >>> 10) & 31;
  const fraction = pattern & 1023;
  const sign = pattern & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The float16 nearest to a double, rounded once (not by way of float32). */
export function numberToHalf(value: number): number {
  float[0] = value;
  const sign = (bits[0]! >>> 16) & 0x8000;
  if (Number.isNaN(value)) return sign | 0x7e00;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00; // halfway from 65504 to 65536, and beyond
  if (magnitude < 2 ** -14) return sign | roundHalfEven(magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  // log2 of a number just below a power of two can round up to it.
  const scale = magnitude < 2 ** exponent ? exponent - 1 : exponent;
  return sign | (((scale + 14) << 10) + roundHalfEven(magnitude * 2 ** (10 - scale)));
}

/** Widens into the given array of as many elements, or a new one; about 1.6 ns an element. */
export function float16ToFloat32(patterns: Uint16Array, into?: Float32Array): Float32Array {
  const table = float16Table();
  const result = into ?? new Float32Array(patterns.length);
  const words = new Uint32Array(result.buffer, result.byteOffset, result.length);
  for (let i = 0; i < words.length; i++) words[i] = table[patterns[i]!]!;
  return result;
}

/** Widens into the given array of as many elements, or a new one; about 1.5 ns an element. */
export function bfloat16ToFloat32(patterns: Uint16Array, into?: Float32Array): Float32Array {
  const result = into ?? new Float32Array(patterns.length);
  const words = new Uint32Array(result.buffer, result.byteOffset, result.length);
  for (let i = 0; i < words.length; i++) words[i] = patterns[i]! << 16;
  return result;
}

export function float32ToFloat16(values: Float32Array | Float64Array): Uint16Array {
  const result = new Uint16Array(values.length);
  if (values instanceof Float64Array) {
    for (let i = 0; i < values.length; i++) result[i] = numberToHalf(values[i]!);
    return result;
  }
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) result[i] = float32BitsToHalf(words[i]!);
  return result;
}

export function float32ToBfloat16(values: Float32Array | Float64Array): Uint16Array {
  const result = new Uint16Array(values.length);
  if (values instanceof Float64Array) {
    for (let i = 0; i < values.length; i++) result[i] = numberToBfloat16(values[i]!);
    return result;
  }
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if ((word & 0x7fffffff) > 0x7f800000) result[i] = (word >>> 16) | ((word >>> 16) & 0x7f ? 0 : 0x40);
    else result[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return result;
}

/** Rounds a double to bfloat16 once: where float32 landed on a tie, the double still knows on which side it lies. */
function numberToBfloat16(value: number): number {
  float[0] = value;
  if (Number.isNaN(value)) return ((bits[0]! >>> 16) & 0x8000) | 0x7fc0;
  const rounded = float[0]!;
  if ((bits[0]! & 0xffff) === 0x8000 && rounded !== value) {
    return Math.abs(value) > Math.abs(rounded) ? (bits[0]! + 0x8000) >>> 16 : bits[0]! >>> 16;
  }
  return (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) >>> 16;
}

function float32BitsToHalf(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  // A NaN whose payload lies in the lost bits alone would become infinity: it gets the quiet bit.
  if (magnitude > 0x7f800000) return sign | 0x7c00 | ((magnitude >>> 13) & 0x3ff || 0x200);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and beyond
  if (magnitude >= 0x38800000) {
    // Normal in float16: rebias the exponent by 112 and round 13 bits away; a carry runs into the exponent, rightly.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // below half of 2^-24
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const lost = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (lost > half || (lost === half && (kept & 1) === 1) ? 1 : 0));
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1;
  return floor;
}

let table: Uint32Array | undefined;

/** float32 bit patterns of all float16 patterns; 256 KB, made at first use. */
function float16Table(): Uint32Array {
  if (table !== undefined) return table;
  table = new Uint32Array(65536);
  for (let pattern = 0; pattern < 65536; pattern++) {
    if (((pattern >>> 10) & 31) === 31 && (pattern & 1023) !== 0) {
      // NaNs keep sign and payload, which a trip through a JavaScript number may lose.
      table[pattern] = ((pattern & 0x8000) << 16) | 0x7f800000 | ((pattern & 1023) << 13);
    } else {
      float[0] = halfToNumber(pattern);
      table[pattern] = bits[0]!;
    }
  }
  return table;
}
