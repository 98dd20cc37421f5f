/** A tensor of an input, and the rows of it that an output with another vocabulary takes. */
import type { TensorInfo } from "../formats/safetensors.ts";
import type { MergeDtype } from "./dtypes.ts";

/** A tensor as it lies in one of the inputs. */
export interface StoredTensor extends TensorInfo {
  readonly input: string;
  readonly mergeDtype: MergeDtype;
  /** Of a part of the rows: which row of the stored tensor comes first. */
  readonly firstRow?: number;
  /** Brought to another vocabulary: which rows it has there. Shape, dtype and bytes are those it then has in memory. */
  readonly rows?: RowMap;
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
