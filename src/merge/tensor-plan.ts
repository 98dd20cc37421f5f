/** What a merge does with one tensor, and what follows from it. */
import type { Dtype } from "../formats/safetensors.ts";
import { type MergeDtype, STORED_DTYPE } from "./dtypes.ts";
import type { ResolvedOptions } from "./options.ts";
import type { StoredTensor } from "./stored-tensor.ts";

export interface TensorPlan extends ResolvedOptions {
  readonly name: string;
  /** Of what is merged, and its entries. */
  readonly shape: readonly number[];
  readonly size: number;
  /** Rows that follow in the output as they are in one of the inputs: padding that others lack. */
  readonly padding: StoredTensor | undefined;
  /** One per merged model, in their order. */
  readonly models: readonly StoredTensor[];
  readonly base: StoredTensor | undefined;
  /** The dtype the merged values are rounded to, before `output`. */
  readonly working: MergeDtype;
  readonly output: MergeDtype;
  /** Whole numbers, taken as they are from one of the inputs; nothing is merged then. */
  readonly copied: StoredTensor | undefined;
}

/** All that is read for a tensor. */
export function inputsOf({ models, base, padding, copied }: TensorPlan): readonly StoredTensor[] {
  return [...models, base, padding, copied].filter((tensor) => tensor !== undefined);
}

/** As it is stored. */
export function outputDtype({ copied, output }: TensorPlan): Dtype {
  return copied?.dtype ?? STORED_DTYPE[output];
}

/** The shape of a tensor as it is written. */
export function outputShape({ shape, padding }: TensorPlan): readonly number[] {
  return padding === undefined ? shape : shape.with(0, shape[0]! + padding.shape[0]!);
}

export function outputEntries(tensor: TensorPlan): number {
  return elements(outputShape(tensor));
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}
