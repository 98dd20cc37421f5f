/**
 * Log-probabilities to float16, rounded once from the double (nearest, ties to even). The general conversion of
 * `formats/float.ts` takes a logarithm to find the exponent; here a value is a few operations on its own bits, because
 * an aligned row has twenty of them.
 */
const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const LOW = 0;
const HIGH = 1;

/** The pattern of a value of at most 0 (rounding above it counts as 0, whose pattern is 0); -infinity is 0xfc00. */
export function negativeHalf(value: number): number {
  if (!(value < 0)) return 0;
  if (value > -(2 ** -14)) {
    // Subnormal: a multiple of 2^-24. Adding and taking away 2^52 rounds to nearest even.
    return 0x8000 | (-value * 2 ** 24 + 2 ** 52 - 2 ** 52);
  }
  if (value <= -65520) return 0xfc00;
  double[0] = value;
  // Exponent rebased from 1023 to 15; of the 52 bits of the fraction, 10 stay: the upper half of the 20 in this word.
  const high = (words[HIGH]! & 0x7fffffff) - ((1023 - 15) << 20);
  const rest = high & 0x3ff;
  let half = high >>> 10;
  if (rest > 0x200 || (rest === 0x200 && (words[LOW]! !== 0 || (half & 1) === 1))) half++;
  return 0x8000 | half;
}
