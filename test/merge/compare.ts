/** Distances between tensors of merged models, as the golden notes define them. */
import { bfloat16ToFloat32, float16ToFloat32 } from "#src/formats/float.js";
import { type Dtype, readSafetensors, type Tensor } from "#src/formats/safetensors.js";

export interface Model {
  readonly dtypes: ReadonlyMap<string, Dtype>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly values: ReadonlyMap<string, Float64Array>;
}

export async function readModel(path: string): Promise<Model> {
  const { tensors } = await readSafetensors(path);
  const list = [...tensors];
  return {
    dtypes: new Map(list.map(([name, { dtype }]) => [name, dtype])),
    shapes: new Map(list.map(([name, { shape }]) => [name, shape])),
    values: new Map(list.map(([name, tensor]) => [name, doubles(tensor)])),
  };
}

function doubles({ dtype, data }: Tensor): Float64Array {
  if (dtype === "BF16") return Float64Array.from(bfloat16ToFloat32(data as Uint16Array));
  if (dtype === "F16") return Float64Array.from(float16ToFloat32(data as Uint16Array));
  return Float64Array.from(data as Float32Array);
}

export function rms(values: Float64Array): number {
  return Math.sqrt(values.reduce((total, value) => total + value * value, 0) / values.length);
}

/** |a - e| / max(|e|, rms of e), the largest of the tensor and the share beyond a limit. */
export function relative(actual: Float64Array, expected: Float64Array, limit: number) {
  const scale = rms(expected);
  return summarise(actual, expected, limit, (e) => Math.max(Math.abs(e), scale));
}

/** Distance in units of the last place of a dtype with so many explicit bits of mantissa. */
export function unitsInTheLastPlace(actual: Float64Array, expected: Float64Array, limit: number, bits: number) {
  const scale = rms(expected);
  return summarise(
    actual,
    expected,
    limit,
    (e) => 2 ** (Math.floor(Math.log2(Math.max(Math.abs(e), scale, 1e-300))) - bits),
  );
}

function summarise(
  actual: Float64Array,
  expected: Float64Array,
  limit: number,
  unit: (expected: number) => number,
): { largest: number; beyond: number } {
  let largest = 0;
  let beyond = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    const distance = difference === 0 ? 0 : difference / unit(expected[i]!);
    largest = Math.max(largest, distance);
    if (distance > limit) beyond++;
  }
  return { largest, beyond };
}
