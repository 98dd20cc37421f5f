/** A model of a merge, as far as it is known from headers and config. */
import type { JsonObject } from "../../formats/json-document.ts";
import type { TensorInfo } from "../../formats/safetensors.ts";
import type { InputTensor } from "../adapters/adapted.ts";
import type { Anatomy } from "./anatomy.ts";

export interface MergeInput {
  /** As the configuration calls it. */
  readonly name: string;
  /** Of config and weights; that of the base where an adapter changes it. */
  readonly folder: string;
  /** The tokenizer's: an adapter's own where it brings rows for its tokens. */
  readonly tokenizerFolder: string;
  /** All that are read. */
  readonly folders: readonly string[];
  readonly config: JsonObject;
  /** The weight files, which tell one model from another. */
  readonly files: readonly string[];
  /** Of the tensors in these files. */
  readonly byteLength: number;
  /** Lower-case hex SHA-256 over the bytes of `files`. */
  sha256(): Promise<string>;
  /** As the folder of the config holds them, by their names there. */
  readonly stored: ReadonlyMap<string, TensorInfo>;
  /** By their names in the output. */
  readonly tensors: ReadonlyMap<string, InputTensor>;
  readonly anatomy: Anatomy;
  /** The embedding serves as head. */
  readonly isTied: boolean;
  /** What the user should hear of it. */
  readonly warnings: readonly string[];
}
