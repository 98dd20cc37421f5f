import fc from "fast-check";
import { expect, test } from "vitest";
import { negativeHalf } from "#src/align/negative-half.js";
import { halfToNumber, numberToHalf } from "#src/formats/float.js";

test("every float16 of at most 0 comes back, and halfway values go to the even neighbour", () => {
  const wrong: number[] = [];
  for (let bits = 0x8001; bits < 0xfbff; bits++) {
    const value = halfToNumber(bits);
    const halfway = (value + halfToNumber(bits + 1)) / 2;
    if (negativeHalf(value) !== bits || negativeHalf(halfway) !== bits + (bits & 1)) wrong.push(bits);
  }
  expect(wrong).toEqual([]);
});

test("rounds like the general conversion", () => {
  const anyMagnitude = fc.tuple(fc.double({ min: 1, max: 2, noNaN: true }), fc.integer({ min: -30, max: 17 }));
  fc.assert(
    fc.property(anyMagnitude, ([fraction, exponent]) => {
      const value = -fraction * 2 ** exponent;
      expect(negativeHalf(value)).toBe(numberToHalf(value));
    }),
    { numRuns: 5000 },
  );
});

test("values that rounding put above 0 are 0, and minus infinity stays", () => {
  expect(negativeHalf(0)).toBe(0);
  expect(negativeHalf(1e-9)).toBe(0);
  expect(negativeHalf(-Infinity)).toBe(0xfc00);
  expect(negativeHalf(-65519.99)).toBe(0xfbff);
  expect(negativeHalf(-65520)).toBe(0xfc00);
});
