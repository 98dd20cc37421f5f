import fc from "fast-check";
import { expect, test } from "vitest";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
  halfToNumber,
  numberToHalf,
} from "#src/formats/float.js";

const allPatterns = Uint16Array.from({ length: 65536 }, (_, pattern) => pattern);

test("all 65,536 float16 patterns survive the way through float32, NaN payloads included", () => {
  expect(float32ToFloat16(float16ToFloat32(allPatterns))).toEqual(allPatterns);
});

test("all 65,536 bfloat16 patterns survive the way through float32, NaN payloads included", () => {
  expect(float32ToBfloat16(bfloat16ToFloat32(allPatterns))).toEqual(allPatterns);
});

test("the scalar functions agree with the arrays on every float16 pattern", () => {
  const wide = float16ToFloat32(allPatterns);
  for (let pattern = 0; pattern < 65536; pattern++) {
    const value = halfToNumber(pattern);
    expect(Object.is(value, wide[pattern]) || (Number.isNaN(value) && Number.isNaN(wide[pattern]!))).toBe(true);
    if (!Number.isNaN(value)) expect(numberToHalf(value)).toBe(pattern);
  }
});

test("known values have the patterns of IEEE 754", () => {
  const cases: [number, number][] = [
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [1 / 3, 0x3555],
    [Number.POSITIVE_INFINITY, 0x7c00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
  ];
  for (const [value, pattern] of cases) {
    expect(numberToHalf(value)).toBe(pattern);
    expect(float32ToFloat16(Float32Array.of(value))[0]).toBe(pattern);
  }
  expect(Array.from(float32ToBfloat16(Float32Array.of(1, -2, 1 / 3)))).toEqual([0x3f80, 0xc000, 0x3eab]);
});

test("ties go to the even neighbour, in normal and subnormal numbers", () => {
  const cases: [number, number][] = [
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2 ** -25, 0x0000],
    [3 * 2 ** -25, 0x0002],
    [5 * 2 ** -25, 0x0002],
    [2 ** -14 - 2 ** -25, 0x0400],
  ];
  for (const [value, pattern] of cases) {
    expect(numberToHalf(value)).toBe(pattern);
    expect(float32ToFloat16(Float32Array.of(value))[0]).toBe(pattern);
    expect(float32ToFloat16(Float32Array.of(-value))[0]).toBe(pattern | 0x8000);
  }
  expect(Array.from(float32ToBfloat16(Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8)))).toEqual([0x3f80, 0x3f82]);
});

test("what is nearer to 65536 than to 65504 overflows to infinity", () => {
  expect(numberToHalf(65519.99)).toBe(0x7bff);
  expect(numberToHalf(65520)).toBe(0x7c00);
  expect(Array.from(float32ToFloat16(Float32Array.of(65519, 65520, 1e30, -1e30)))).toEqual([
    0x7bff, 0x7c00, 0x7c00, 0xfc00,
  ]);
  expect(float32ToBfloat16(Float32Array.of(3.4028235e38))[0]).toBe(0x7f80);
});

test("NaN stays NaN even where its payload lies in the lost bits", () => {
  const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
  expect(Array.from(float32ToFloat16(nan))).toEqual([0x7e00, 0xfe00]);
  expect(Array.from(float32ToBfloat16(nan))).toEqual([0x7fc0, 0xffc0]);
});

test("doubles are rounded once, not by way of float32", () => {
  // Just above a tie of the narrow type, and rounded down onto it by float32.
  expect(float32ToFloat16(Float64Array.of(1 + 2 ** -11 + 2 ** -40))[0]).toBe(0x3c01);
  expect(float32ToBfloat16(Float64Array.of(1 + 2 ** -8 + 2 ** -40))[0]).toBe(0x3f81);
  // Just below a tie whose even neighbour lies above.
  expect(float32ToBfloat16(Float64Array.of(1 + 3 * 2 ** -8 - 2 ** -40))[0]).toBe(0x3f81);
  expect(float32ToBfloat16(Float64Array.of(-1 - 2 ** -8 - 2 ** -40))[0]).toBe(0xbf81);
});

test("rounding a double to float16 leaves no nearer pattern", () => {
  fc.assert(
    fc.property(fc.double({ min: -65504, max: 65504, noNaN: true }), (value) => {
      const pattern = numberToHalf(value);
      const distance = Math.abs(halfToNumber(pattern) - value);
      const magnitude = pattern & 0x7fff;
      for (const other of [magnitude - 1, magnitude + 1]) {
        if (other < 0 || other > 0x7bff) continue;
        expect(Math.abs(halfToNumber(other | (pattern & 0x8000)) - value)).toBeGreaterThanOrEqual(distance);
      }
    }),
  );
});

test("float32 arrays that begin inside a larger buffer are read at their place", () => {
  const values = Float32Array.of(9, 1, 2).subarray(1);
  expect(Array.from(float32ToFloat16(values))).toEqual([0x3c00, 0x4000]);
  expect(Array.from(float32ToBfloat16(values))).toEqual([0x3f80, 0x4000]);
});
