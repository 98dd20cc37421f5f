/** Entries of a tensor in double precision, as they lie in the file or with what an adapter adds to them. */
import { DTYPE_BYTES, type TensorInfo } from "../formats/safetensors.ts";
import { createAdaptedReader } from "./adapters/read-adapted.ts";
import { storedView, widener } from "./dtypes.ts";
import type { StoredTensor } from "./stored-tensor.ts";

/** Reads bytes of a tensor from `start` on. */
export type ReadBytes = (info: TensorInfo, start: number, bytes: Uint8Array) => Promise<void>;

/** Fills `values` with a tensor's entries from `first` on. */
export type ReadEntries = (tensor: StoredTensor, first: number, values: Float64Array) => Promise<void>;

/** Entries read at a time. */
const PIECE_ENTRIES = 1 << 18;

export function createEntryReader(readBytes: ReadBytes): ReadEntries {
  const readStored: ReadEntries = async (tensor, first, values) => {
    const width = DTYPE_BYTES[tensor.dtype];
    const widen = widener(tensor.mergeDtype, undefined);
    for (let done = 0; done < values.length; done += PIECE_ENTRIES) {
      const count = Math.min(PIECE_ENTRIES, values.length - done);
      const bytes = new Uint8Array(count * width);
      await readBytes(tensor, (first + done) * width, bytes);
      widen(storedView(tensor.mergeDtype, bytes, count), 0, count, values.subarray(done));
    }
  };
  const adapted = createAdaptedReader(readStored);
  return (tensor, first, values) =>
    tensor.update === undefined
      ? readStored(tensor, first, values)
      : adapted.read(tensor, tensor.update, first, values);
}
