/**
 * A tensor to which a LoRA adapter adds a product of two thin matrices: `W + scale L R`, with L [rows, rank] and R
 * [rank, columns]. DoRA then scales every row to a length of its own: `m (W + scale L R) / |W + scale L R|`.
 */
import type { TensorInfo } from "../../formats/safetensors.ts";

export interface Factor {
  readonly info: TensorInfo;
  /** Stored the other way round. */
  readonly isTransposed: boolean;
}

export interface LoraUpdate {
  readonly left: Factor;
  readonly right: Factor;
  readonly scale: number;
  /** Of DoRA: the length of every row. */
  readonly magnitude: TensorInfo | undefined;
}

/** A tensor of an input, as it lies in a file or adapted. */
export interface InputTensor extends TensorInfo {
  readonly update?: LoraUpdate;
}
