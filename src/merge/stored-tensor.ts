/** A tensor of an input, and the rows of it that an output with another vocabulary takes. */
import type { TensorInfo } from "../formats/safetensors.ts";
import type { LoraUpdate } from "./adapters/adapted.ts";
import { type MergeDtype, mergeDtypeOf } from "./dtypes.ts";

/** A tensor as it lies in one of the inputs. */
export interface StoredTensor extends TensorInfo {
  readonly input: string;
  readonly mergeDtype: MergeDtype;
  /** Of a part of the rows: which row of the stored tensor comes first. */
  readonly firstRow?: number;
  /** Brought to another vocabulary: which rows it has there. Shape, dtype and bytes are those it then has in memory. */
  readonly rows?: RowMap;
  /** What an adapter adds to the entries in the file. */
  readonly update?: LoraUpdate;
  /** The tensor that the adapted entries are computed from; dtype and bytes are those that they then have in memory. */
  readonly adapted?: StoredTensor;
}

/** A tensor of weights as it lies in a file; undefined where its dtype holds none. */
export function storedTensor(
  info: TensorInfo & { readonly update?: LoraUpdate },
  input: string,
): StoredTensor | undefined {
  const mergeDtype = mergeDtypeOf(info.dtype);
  return mergeDtype === undefined ? undefined : { ...info, input, mergeDtype };
}

/** As it is read: adapted entries are computed in double precision. */
export function asRead(tensor: StoredTensor): StoredTensor {
  if (tensor.update === undefined || tensor.rows !== undefined) return tensor;
  return { ...tensor, dtype: "F64", mergeDtype: "float64", adapted: tensor };
}

export interface StoredRow {
  readonly tensor: StoredTensor;
  readonly row: number;
}

/** The mean of some rows (of one: that row, of none: zeros), or of all rows of this model that are tokens. */
export type RowFill = readonly StoredRow[] | "mean";

export interface RowMap {
  /** The tensor as it lies in the file. */
  readonly stored: StoredTensor;
  /** [rows of the output] the tensor's own row, or -1. */
  readonly own: Int32Array;
  /** For every -1. */
  readonly fills: ReadonlyMap<number, RowFill>;
}
