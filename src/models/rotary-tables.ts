/**
 * Cosines and sines of the rotary embedding: position t turns the pair i of a head of size s by
 * `t * base^(-2i / s)` (Su et al. 2021, eq. 15). Published checkpoints were trained with frequencies and angles rounded
 * to single precision; the same rounding here keeps late positions in step with them (at position 4,096 an angle
 * would otherwise differ by up to 2e-4).
 */
import type { RotaryTables } from "../graph/ops/rotary.ts";

/** Tables [length, headSize / 2] for positions 0 to length - 1. */
export function rotaryTables(base: number, headSize: number, length: number): RotaryTables {
  const half = headSize / 2;
  const table = (f: (angle: number) => number) => (): Float64Array => {
    const values = new Float64Array(length * half);
    for (let i = 0; i < half; i++) {
      const frequency = Math.fround(1 / Math.fround(base ** Math.fround((2 * i) / headSize)));
      for (let position = 0; position < length; position++) {
        values[position * half + i] = f(Math.fround(position * frequency));
      }
    }
    return values;
  };
  return { cosine: table(Math.cos), sine: table(Math.sin), headSize, length, key: `${base}/${headSize}` };
}
