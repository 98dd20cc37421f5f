/** Decimal digits of a float, rounded half to even from its exact value, as C and Python print it. */

/** The digits before and after the point, without sign: `fixed(2.675, 2)` is "2.67". The number must be finite. */
export function fixed(value: number, places: number): string {
  const digits = scaled(Math.abs(value), places)
    .toString()
    .padStart(places + 1, "0");
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** The digits of scientific notation, the point left out, and the exponent. */
export function scientific(value: number, places: number): { readonly digits: string; readonly exponent: number } {
  const magnitude = Math.abs(value);
  if (magnitude === 0) return { digits: "0".repeat(places + 1), exponent: 0 };
  let exponent = Number(magnitude.toExponential().split("e")[1]);
  let digits = scaled(magnitude, places - exponent).toString();
  // Rounded up to the next power of ten.
  if (digits.length > places + 1) {
    exponent += 1;
    digits = scaled(magnitude, places - exponent).toString();
  }
  return { digits, exponent };
}

/** The number times ten to `places`, as the nearest int, the even one of two. */
function scaled(magnitude: number, places: number): bigint {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, magnitude);
  const raw = bits.getBigUint64(0);
  const power = Number((raw >> 52n) & 0x7ffn);
  const fraction = raw & 0xfffffffffffffn;
  let numerator = power === 0 ? fraction : fraction | (1n << 52n);
  let denominator = 1n;
  const shift = (power === 0 ? 1 : power) - 1075;
  if (shift >= 0) numerator <<= BigInt(shift);
  else denominator <<= BigInt(-shift);
  if (places >= 0) numerator *= 10n ** BigInt(places);
  else denominator *= 10n ** BigInt(-places);
  const quotient = numerator / denominator;
  const twice = 2n * (numerator % denominator);
  return twice > denominator || (twice === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient;
}
