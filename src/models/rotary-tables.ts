/**
 * Cosines and sines of the rotary embedding: position t turns the pair i of a head of size s by
 * `t * base^(-2i / s)` (Su et al. 2021, eq. 15). Published checkpoints were trained with frequencies and angles rounded
 * to single precision; the same rounding here keeps late positions in step with them (at position 4,096 an angle
 * would otherwise differ by up to 2e-4).
 */
import type { RotaryTables } from "../graph/ops/rotary.ts";
import type { RotaryEmbedding } from "./architecture.ts";

/** The plain embedding of one base. */
export function rotaryEmbedding(base: number, headSize: number): RotaryEmbedding {
  const frequencies = Float32Array.from(
    { length: headSize / 2 },
    (_, i) => 1 / Math.fround(base ** Math.fround((2 * i) / headSize)),
  );
  return { frequencies, key: `${base}/${headSize}` };
}

/** Tables [length, headSize / 2] for positions 0 to length - 1. */
export function rotaryTables({ frequencies, key }: RotaryEmbedding, length: number): RotaryTables {
  const half = frequencies.length;
  const table = (f: (angle: number) => number) => (): Float64Array => {
    const values = new Float64Array(length * half);
    frequencies.forEach((frequency, i) => {
      for (let position = 0; position < length; position++) {
        values[position * half + i] = f(Math.fround(position * frequency));
      }
    });
    return values;
  };
  return { cosine: table(Math.cos), sine: table(Math.sin), headSize: 2 * half, length, key };
}
