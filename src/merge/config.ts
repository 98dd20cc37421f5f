/** A merge as mergekit's configuration file states it: what to merge, how, and into which dtype. */
import type { MergeDtype } from "./dtypes.ts";
import type { Parameters } from "./parameters.ts";

export interface MergeModel {
  /** A folder, relative to the configuration file or to the current folder. */
  readonly model: string;
  readonly parameters?: Parameters | undefined;
}

/** mergekit's document, with its key names. */
export interface MergeConfig {
  readonly merge_method: string;
  readonly models: readonly MergeModel[];
  readonly base_model?: string | undefined;
  readonly parameters?: Parameters | undefined;
  /** Inputs are rounded to it when read, the result when merged; without it each tensor keeps the dtype of its inputs. */
  readonly dtype?: MergeDtype | undefined;
  /** A second rounding, when written. */
  readonly out_dtype?: MergeDtype | undefined;
  /** What the reader let pass but the user should hear. */
  readonly warnings?: readonly string[] | undefined;
}
