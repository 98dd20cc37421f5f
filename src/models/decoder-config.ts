/**
 * The fields that all decoders share, by the names of Hugging Face configs, and the refusals that go with them. An
 * architecture adds its own fields; the defaults that differ between architectures are handed in, because a field that
 * is absent means what that architecture's published code takes it to mean.
 */
import type { ModelConfig } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";
import { rotaryEmbedding } from "./rotary-tables.ts";

export interface DecoderDefaults {
  /** Key and value heads where the config has none; `heads` gives every query head its own. */
  readonly keyValueHeads: number | "heads";
  readonly rotaryBase: number;
  readonly normEpsilon: number;
}

/** Reads a decoder with rotary positions, RMSNorm and a SiLU gate; everything else is refused by name. */
export function readDecoderConfig(fields: ConfigFields, defaults: DecoderDefaults): ModelConfig {
  refuseUnsupported(fields);
  const hiddenSize = fields.count("hidden_size");
  const heads = fields.count("num_attention_heads");
  const keyValueHeads = fields.count(
    "num_key_value_heads",
    defaults.keyValueHeads === "heads" ? heads : defaults.keyValueHeads,
  );
  if (heads % keyValueHeads !== 0) {
    fields.refuse(
      "num_key_value_heads",
      `expected a divisor of num_attention_heads (${heads}), found ${keyValueHeads}`,
    );
  }
  if (fields.value("head_dim") === undefined && hiddenSize % heads !== 0) {
    fields.refuse("num_attention_heads", `expected a divisor of hidden_size (${hiddenSize}), found ${heads}`);
  }
  const headSize = fields.count("head_dim", hiddenSize / heads);
  if (headSize % 2 !== 0) fields.refuse("head_dim", `rotary positions need an even head size, found ${headSize}`);
  return {
    vocabularySize: fields.count("vocab_size"),
    hiddenSize,
    layers: fields.count("num_hidden_layers"),
    heads,
    keyValueHeads,
    headSize,
    intermediateSize: fields.count("intermediate_size"),
    tied: fields.boolean("tie_word_embeddings", false),
    maxPositions:
      fields.value("max_position_embeddings") === undefined ? null : fields.count("max_position_embeddings"),
    normEpsilon: fields.positive("rms_norm_eps", defaults.normEpsilon),
    rotary: rotaryEmbedding(readRotaryBase(fields, defaults.rotaryBase), headSize),
    logitCap: null,
  };
}

function refuseUnsupported(fields: ConfigFields): void {
  fields.only("hidden_act", ["silu"]);
  fields.only("partial_rotary_factor", [1]);
  for (const dropout of ["attention_dropout", "hidden_dropout", "embd_pdrop", "resid_pdrop"]) fields.only(dropout, [0]);
  if (fields.value("quantization_config") !== undefined) {
    fields.refuse("quantization_config", "quantised weights are not supported; use the unquantised checkpoint");
  }
}

/** `rope_theta` and `rope_scaling`, or `rope_parameters`, which holds both in newer configs. */
function readRotaryBase(fields: ConfigFields, fallback: number): number {
  for (const name of ["rope_scaling", "rope_parameters"]) {
    const found = fields.value(name);
    if (found === undefined) continue;
    if (typeof found !== "object" || found === null || Array.isArray(found)) {
      fields.refuse(name, `expected an object or null, found ${JSON.stringify(found)}`);
    }
    const scaling = found as Readonly<Record<string, unknown>>;
    const type = scaling.rope_type ?? scaling.type ?? "default";
    if (type !== "default") fields.refuse(name, `the type ${JSON.stringify(type)} is not supported (only "default")`);
    if (scaling.partial_rotary_factor !== undefined && scaling.partial_rotary_factor !== 1) {
      fields.refuse(name, "partial_rotary_factor is not supported (only 1)");
    }
    if (typeof scaling.rope_theta === "number" && scaling.rope_theta > 0) return scaling.rope_theta;
  }
  return fields.positive("rope_theta", fallback);
}
