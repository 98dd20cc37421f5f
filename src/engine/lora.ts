/**
 * Low-rank adapters (Hu et al., "LoRA: low-rank adaptation of large language models", section 4.1): of each chosen product
 * W x the weight is frozen, and `alpha / rank * B A x` is trained beside it. What is written has the sum for its weight.
 */
export interface LoraSettings {
  readonly rank: number;
  readonly alpha: number;
  /** Last names of the products that get one, or `ALL_LINEAR` alone. */
  readonly targets: readonly string[];
  /** Whether the adapter is written beside the model, as peft does it. */
  readonly keep: boolean;
}

/** Where an adapter that is kept lies, below its model's folder. */
export const ADAPTER_FOLDER = "adapter";

/** Every product with a matrix in the layers, whatever the architecture calls it; peft's word. */
export const ALL_LINEAR = "all-linear";

export const LORA_DEFAULTS: Omit<LoraSettings, "alpha"> = { rank: 16, targets: [ALL_LINEAR], keep: false };

/** Twice the rank: the factor is 2 at every rank, and a learning rate fits other ranks too. */
export function alphaOf(rank: number): number {
  return 2 * rank;
}

/** Names `q_proj`, `o_proj`, as a pattern. */
export const LORA_TARGET: RegExp = /^[A-Za-z_][A-Za-z0-9_-]*$/;
