/**
 * The fields that all decoders share, by the names of Hugging Face configs, and the refusals that go with them. An
 * architecture adds its own fields; the defaults that differ between architectures are handed in, because a field that
 * is absent means what that architecture's published code takes it to mean.
 */
import { type Table, tableOf } from "../table.ts";
import type { ModelConfig } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";
import { readRotary } from "./rotary-scaling.ts";

export interface DecoderDefaults {
  /** Key and value heads where the config has none; `heads` gives every query head its own. */
  readonly keyValueHeads: number | "heads";
  readonly rotaryBase: number;
  /** As in `RotaryOptions`. */
  readonly partialRotary?: number;
  readonly isInterleaved?: boolean;
  /** Fields of `FOREIGN` that the architecture reads itself. */
  readonly reads?: readonly string[];
  /** Reads the angles that most layers have; `readRotary` where absent. */
  readonly rotary?: typeof readRotary;
  readonly normEpsilon: number;
  /** Query heads and vocabulary; published configs of most architectures always have them. */
  readonly heads?: number;
  readonly vocabularySize?: number;
  readonly maxPositions?: number;
  /** The hidden size divided among the heads where absent. */
  readonly headSize?: number;
  /** False where absent. */
  readonly tied?: boolean;
  /** The gate's activation, the only one the architecture has, by its name in configs; `silu` where absent. */
  readonly activation?: string;
}

/**
 * What some decoders do and none of these does, with the values that leave the numbers as they are. The published code
 * of these architectures reads none of it; a checkpoint that has it was trained with other code.
 */
const FOREIGN: Table<readonly unknown[]> = tableOf({
  partial_rotary_factor: [1],
  rotary_pct: [1],
  rope_interleaved: [false],
  use_mrope: [false],
  no_rope_layers: [],
  use_qk_norm: [false],
  qk_layernorm: [false],
  clip_qkv: [],
  attention_multiplier: [],
  embedding_multiplier: [1],
  residual_multiplier: [1],
  logits_scaling: [1],
  logit_scale: [1],
});

/** Far above those of any model; what is larger is a damaged file, and would be traced for hours. */
const MOST_LAYERS = 1024;
const MOST_HEADS = 4096;
const LARGEST_HEAD = 65_536;
const LARGEST_WIDTH = 1 << 20;
/** Ids are 32 bits wide where they are stored, and tables of all of them are made. */
const LARGEST_VOCABULARY = 1 << 22;

/** Drawn anew at every step of training: what they leave out cannot be reproduced. */
const DROPOUTS = ["attention_dropout", "hidden_dropout", "embd_pdrop", "resid_pdrop"];

/** Reads a decoder with rotary positions, RMSNorm and gated feed-forward layers; all else is refused by name. */
export function readDecoderConfig(fields: ConfigFields, defaults: DecoderDefaults): ModelConfig {
  for (const field of ["hidden_act", "hidden_activation"]) fields.only(field, [defaults.activation ?? "silu"]);
  for (const [field, harmless] of Object.entries(FOREIGN)) {
    const isRead = field === "partial_rotary_factor" && defaults.partialRotary !== undefined;
    if (!isRead && !defaults.reads?.includes(field)) fields.only(field, harmless);
  }
  for (const dropout of DROPOUTS) fields.only(dropout, [0]);
  const hiddenSize = fields.count("hidden_size", undefined, LARGEST_WIDTH);
  const heads = fields.count("num_attention_heads", defaults.heads, MOST_HEADS);
  const keyValueHeads = readKeyValueHeads(fields, defaults, heads);
  if (fields.value("head_dim") === undefined && defaults.headSize === undefined && hiddenSize % heads !== 0) {
    fields.refuse("num_attention_heads", `expected a divisor of hidden_size (${hiddenSize}), found ${heads}`);
  }
  const headSize = fields.count("head_dim", defaults.headSize ?? hiddenSize / heads, LARGEST_HEAD);
  if (headSize % 2 !== 0) fields.refuse("head_dim", `rotary positions need an even head size, found ${headSize}`);
  const layers = fields.count("num_hidden_layers", undefined, MOST_LAYERS);
  const maxPositions = fields.countOrNull("max_position_embeddings", defaults.maxPositions ?? null);
  return {
    vocabularySize: fields.count("vocab_size", defaults.vocabularySize, LARGEST_VOCABULARY),
    hiddenSize,
    layers,
    heads,
    keyValueHeads,
    headSize,
    intermediateSize: fields.count("intermediate_size", undefined, LARGEST_WIDTH),
    tied: fields.boolean("tie_word_embeddings", defaults.tied ?? false),
    maxPositions,
    normEpsilon: fields.positive("rms_norm_eps", defaults.normEpsilon),
    rotary: (defaults.rotary ?? readRotary)(fields, {
      base: defaults.rotaryBase,
      headSize,
      maxPositions,
      ...(defaults.partialRotary === undefined ? {} : { partial: defaults.partialRotary }),
      isInterleaved: defaults.isInterleaved ?? false,
    }),
    logitCap: null,
  };
}

/** Null, in older configs, gives every query head its own. */
function readKeyValueHeads(fields: ConfigFields, { keyValueHeads }: DecoderDefaults, heads: number): number {
  const count = fields.countOrNull("num_key_value_heads", keyValueHeads === "heads" ? heads : keyValueHeads) ?? heads;
  if (heads % count !== 0) {
    fields.refuse("num_key_value_heads", `expected a divisor of num_attention_heads (${heads}), found ${count}`);
  }
  return count;
}
