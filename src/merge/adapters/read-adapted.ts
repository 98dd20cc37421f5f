/**
 * Entries of an adapted tensor, computed as they are read: the stored rows plus the product's, in double precision. The
 * two factors are held while their tensor is merged, nothing of the tensor's own size is.
 */
import { inputError } from "../../errors.ts";
import { type StoredTensor, storedTensor } from "../stored-tensor.ts";
import type { Factor, LoraUpdate } from "./adapted.ts";

/** Fills `values` with entries of a tensor as it lies in its file, from `first` on. */
export type ReadStored = (tensor: StoredTensor, first: number, values: Float64Array) => Promise<void>;

export interface AdaptedReader {
  /** Fills `values` with entries of the adapted tensor from `first` on. */
  read(tensor: StoredTensor, update: LoraUpdate, first: number, values: Float64Array): Promise<void>;
}

/** In double precision: left [rows, rank], right [rank, columns]. */
interface Factors {
  readonly rank: number;
  readonly left: Float64Array;
  readonly right: Float64Array;
  readonly magnitude: Float64Array | undefined;
}

export function createAdaptedReader(readStored: ReadStored): AdaptedReader {
  const opened = new Map<LoraUpdate, Promise<Factors>>();

  const readFactor = async ({ info, isTransposed }: Factor): Promise<Float64Array> => {
    const [rows, columns] = info.shape as [number, number];
    const values = new Float64Array(rows * columns);
    await readStored(storedTensor(info, "")!, 0, values);
    return isTransposed ? transpose(values, rows, columns) : values;
  };
  const open = async ({ left, right, magnitude }: LoraUpdate): Promise<Factors> => {
    const rank = left.info.shape[left.isTransposed ? 0 : 1]!;
    const lengths = magnitude === undefined ? undefined : new Float64Array(magnitude.shape[0]!);
    if (magnitude !== undefined) await readStored(storedTensor(magnitude, "")!, 0, lengths!);
    return { rank, left: await readFactor(left), right: await readFactor(right), magnitude: lengths };
  };

  return {
    read: async (tensor, update, first, values) => {
      let factors = opened.get(update);
      if (factors === undefined) {
        factors = open(update);
        opened.set(update, factors);
      }
      const loaded = await factors;
      const columns = tensor.shape[1]!;
      const end = first + values.length;
      if (loaded.magnitude === undefined) {
        await readStored(tensor, first, values);
        for (let at = first; at < end; ) {
          const row = Math.floor(at / columns);
          const stop = Math.min(end, (row + 1) * columns);
          addProduct(loaded, update.scale, row, at - row * columns, values.subarray(at - first, stop - first));
          at = stop;
        }
        return;
      }
      // The length of a row is that of all of it, however much of it is asked for.
      const whole = new Float64Array(columns);
      for (let at = first; at < end; ) {
        const row = Math.floor(at / columns);
        const stop = Math.min(end, (row + 1) * columns);
        await readStored(tensor, row * columns, whole);
        addProduct(loaded, update.scale, row, 0, whole);
        const length = Math.sqrt(whole.reduce((sum, value) => sum + value * value, 0));
        if (length === 0)
          throw inputError(
            `${tensor.file}: ${JSON.stringify(tensor.name)}`,
            `row ${row} is zero, which DoRA divides by`,
          );
        const factor = loaded.magnitude[row]! / length;
        for (let i = at; i < stop; i++) values[i - first] = factor * whole[i - row * columns]!;
        at = stop;
      }
    },
  };
}

/** Adds columns from `from` on of a row of the product. */
function addProduct(
  { rank, left, right }: Factors,
  scale: number,
  row: number,
  from: number,
  values: Float64Array,
): void {
  const columns = right.length / rank;
  const count = values.length;
  const weight = (r: number): number => (r < rank ? scale * left[row * rank + r]! : 0);
  const at = (r: number): number => Math.min(r, rank - 1) * columns + from;
  // Four at a time: each value is read and written a quarter as often.
  for (let r = 0; r < rank; r += 4) {
    const [w0, w1, w2, w3] = [weight(r), weight(r + 1), weight(r + 2), weight(r + 3)];
    const [r0, r1, r2, r3] = [at(r), at(r + 1), at(r + 2), at(r + 3)];
    for (let i = 0; i < count; i++) {
      values[i] = values[i]! + w0 * right[r0 + i]! + w1 * right[r1 + i]! + w2 * right[r2 + i]! + w3 * right[r3 + i]!;
    }
  }
}

function transpose(values: Float64Array, rows: number, columns: number): Float64Array {
  const turned = new Float64Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = values[i * columns + j]!;
  return turned;
}
