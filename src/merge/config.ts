/** A merge as mergekit's configuration file states it, with its key names: what to merge, how, and into which dtype. */
import type { MergeDtype } from "./dtypes.ts";
import type { Parameters } from "./parameters.ts";

export interface MergeModel {
  /** A folder, relative to the configuration file or to the current folder. */
  readonly model: string;
  readonly parameters?: Parameters | undefined;
}

export interface SliceSource extends MergeModel {
  /** First layer and the one after the last. */
  readonly layer_range: readonly [number, number];
}

/** Consecutive layers of the output: each is merged from one layer of every source. */
export interface MergeSlice {
  /** As many layers of each. */
  readonly sources: readonly SliceSource[];
  readonly base_model?: string | undefined;
  readonly parameters?: Parameters | undefined;
}

/** Where the row of a token comes from in models that lack it: a model's own, a certain one, or zeros. */
export type TokenSource =
  | string
  | { readonly kind: "zero" }
  | {
      readonly kind: "model_token";
      readonly model: string;
      readonly token?: string | undefined;
      readonly token_id?: number | undefined;
    };

export interface TokenSetting {
  readonly source: TokenSource;
  /** In models that have the token, too. */
  readonly force?: boolean | undefined;
}

export interface TokenizerSetting {
  /** `union`, `base`, or a model. */
  readonly source: string;
  readonly tokens?: Readonly<Record<string, TokenSetting>> | undefined;
  readonly pad_to_multiple_of?: number | undefined;
}

export interface MergeConfig {
  readonly merge_method: string;
  /** Whole models; empty where there are slices. */
  readonly models: readonly MergeModel[];
  readonly slices?: readonly MergeSlice[] | undefined;
  readonly base_model?: string | undefined;
  readonly parameters?: Parameters | undefined;
  /** Inputs are rounded to it when read, the result when merged; without it each tensor keeps the dtype of its inputs. */
  readonly dtype?: MergeDtype | undefined;
  /** A second rounding, when written. */
  readonly out_dtype?: MergeDtype | undefined;
  /** The vocabulary all models are brought to; without it they must have one already. */
  readonly tokenizer?: TokenizerSetting | undefined;
  /** A built-in template's name, `auto`, or a template. */
  readonly chat_template?: string | undefined;
  /** What the reader let pass but the user should hear. */
  readonly warnings?: readonly string[] | undefined;
}
