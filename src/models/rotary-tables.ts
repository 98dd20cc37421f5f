/**
 * Cosines and sines of the rotary embedding: position t turns the pair i of a head of size s by
 * `t * base^(-2i / s)` (Su et al. 2021, eq. 15). Published checkpoints were trained with frequencies and angles rounded
 * to single precision; the same rounding here keeps late positions in step with them (at position 4,096 an angle
 * would otherwise differ by up to 2e-4).
 */
import type { RotaryTables } from "../graph/ops/rotary.ts";
import type { RotaryEmbedding } from "./architecture.ts";

/** The plain embedding of one base, for so many entries of a head. */
export function rotaryEmbedding(base: number, turned: number): RotaryEmbedding {
  const frequencies = Float32Array.from(
    { length: turned / 2 },
    (_, i) => 1 / Math.fround(base ** Math.fround((2 * i) / turned)),
  );
  return { frequencies, key: `${base}/${turned}`, isInterleaved: false, factor: 1, long: null };
}

/** Tables [length, turned / 2] for positions 0 to length - 1 of heads of this size. */
export function rotaryTables(
  embedding: RotaryEmbedding,
  {
    headSize,
    length,
    isLong = false,
  }: { readonly headSize: number; readonly length: number; readonly isLong?: boolean },
): RotaryTables {
  const { key, isInterleaved, factor, long } = embedding;
  const useLong = isLong && long !== null;
  const frequencies = useLong ? long.frequencies : embedding.frequencies;
  const half = frequencies.length;
  const table = (f: (angle: number) => number) => (): Float64Array => {
    const values = new Float64Array(length * half);
    frequencies.forEach((frequency, i) => {
      for (let position = 0; position < length; position++) {
        values[position * half + i] = factor * f(Math.fround(position * frequency));
      }
    });
    return values;
  };
  return {
    cosine: table(Math.cos),
    sine: table(Math.sin),
    headSize,
    turned: 2 * half,
    isInterleaved,
    length,
    key: useLong ? `${key}/long` : key,
  };
}
