/** Widening and narrowing of stored weights, against the conversions of the formats. */
import { expect, test } from "vitest";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "#src/formats/float.js";
import { narrower, promote, widener } from "#src/merge/dtypes.js";
import { createRandom } from "#src/random.js";

const patterns = Uint16Array.from({ length: 65536 }, (_, pattern) => pattern);

test.each([
  ["bfloat16", bfloat16ToFloat32],
  ["float16", float16ToFloat32],
] as const)("all patterns of %s widen exactly and narrow back", (dtype, widenAll) => {
  const expected = widenAll(patterns);
  const finite = patterns.filter((pattern) => Number.isFinite(expected[pattern]!));
  const values = new Float64Array(finite.length);
  expect(widener(dtype, undefined)(finite, 0, finite.length, values)).toBe(-1);
  expect(values.every((value, i) => Object.is(value, expected[finite[i]!]))).toBe(true);
  const back = new Uint16Array(finite.length);
  expect(narrower(dtype)(values, values.length, back, 0)).toBe(-1);
  expect(back).toEqual(finite);
});

test("doubles are rounded once, also where float32 would land on a tie", () => {
  const random = createRandom("rounding");
  const values = Float64Array.from({ length: 5000 }, () => random.normal() * 2 ** random.integer(12));
  // One bfloat16 step above 1 is 2^-7: just above and just below half of it, closer than float32 can tell.
  values.set([1 + 2 ** -8 + 2 ** -40, 1 + 2 ** -8 - 2 ** -40, 1 + 2 ** -8, -1 - 2 ** -8 - 2 ** -40]);
  const bfloat16 = new Uint16Array(values.length);
  expect(narrower("bfloat16")(values, values.length, bfloat16, 0)).toBe(-1);
  expect(bfloat16).toEqual(float32ToBfloat16(values));
  expect([...bfloat16.subarray(0, 4)]).toEqual([0x3f81, 0x3f80, 0x3f80, 0xbf81]);
  const float16 = new Uint16Array(values.length);
  narrower("float16")(values, values.length, float16, 0);
  expect(float16).toEqual(float32ToFloat16(values));
});

test("the first entry that is not finite is named, on both ways", () => {
  const values = new Float64Array(4);
  expect(widener("bfloat16", undefined)(Uint16Array.of(0, 0x7f80, 0x7fc0, 0), 0, 4, values)).toBe(1);
  expect(widener("bfloat16", undefined)(Uint16Array.of(0, 0x7f7f, 0xffc0, 0), 0, 4, values)).toBe(2);
  expect(widener("float16", undefined)(Uint16Array.of(0, 0x7bff, 0xfc00), 0, 3, values)).toBe(2);
  expect(widener("float32", undefined)(Float32Array.of(1, Number.NaN), 0, 2, values)).toBe(1);
  expect(widener("float64", undefined)(Float64Array.of(1, 1e300), 0, 2, values)).toBe(-1);
  expect(widener("float32", "float16")(Float32Array.of(1, 2, 7e4), 0, 3, values)).toBe(2);
  expect(narrower("float16")(Float64Array.of(1, 65520), 2, new Uint16Array(2), 0)).toBe(1);
  expect(narrower("float32")(Float64Array.of(1, 1e300), 2, new Float32Array(2), 0)).toBe(1);
  expect(narrower("float64")(Float64Array.of(1, Number.NaN), 2, new Float64Array(2), 0)).toBe(1);
  expect(narrower("bfloat16")(Float64Array.of(3.4e38), 1, new Uint16Array(1), 0)).toBe(0);
});

test("a cast rounds what is read, to no more than it can hold", () => {
  const values = new Float64Array(2);
  widener("float32", "bfloat16")(Float32Array.of(1.00390625, 2), 0, 2, values);
  expect([...values]).toEqual([1, 2]);
  widener("float32", "float64")(Float32Array.of(0.1, 2), 0, 2, values);
  expect(values[0]).toBe(Math.fround(0.1));
});

test("dtypes are promoted as torch does", () => {
  expect(promote(["bfloat16", "bfloat16"])).toBe("bfloat16");
  expect(promote(["bfloat16", "float16"])).toBe("float32");
  expect(promote(["float16", "float64", "bfloat16"])).toBe("float64");
});
