/**
 * The decoder that Llama introduced and Mistral and Qwen2 kept, weight names included: normalise, attend, add;
 * normalise, gate, add; one last normalisation before the head. They differ in biases and windows.
 */
import type { ModelConfig, Network } from "./architecture.ts";
import { gatedLayer, norm, selfAttention } from "./blocks.ts";

export interface LlamaDecoderOptions {
  /** Biases of the query, key and value projections. */
  readonly inputBias: boolean;
  /** Bias of the attention's output projection. */
  readonly outputBias: boolean;
  /** Biases of the feed-forward layer. */
  readonly layerBias: boolean;
  /** The sliding window of a layer, null where it sees everything before it. */
  readonly window: (layer: number) => number | null;
}

export function llamaDecoder(config: ModelConfig, options: LlamaDecoderOptions): Network {
  const embedding = "model.embed_tokens.weight";
  return {
    config,
    embedding,
    head: config.tied ? embedding : "lm_head.weight",
    forward: (scope, embedded) => {
      let x = embedded;
      for (let layer = 0; layer < config.layers; layer++) {
        const name = `model.layers.${layer}`;
        const attention = {
          names: {
            query: `${name}.self_attn.q_proj`,
            key: `${name}.self_attn.k_proj`,
            value: `${name}.self_attn.v_proj`,
            output: `${name}.self_attn.o_proj`,
          },
          inputBias: options.inputBias,
          outputBias: options.outputBias,
          window: options.window(layer),
        };
        const gate = { gate: `${name}.mlp.gate_proj`, up: `${name}.mlp.up_proj`, down: `${name}.mlp.down_proj` };
        x = selfAttention(scope, norm(scope, x, `${name}.input_layernorm`, config.normEpsilon), config, attention, x);
        const normalised = norm(scope, x, `${name}.post_attention_layernorm`, config.normEpsilon);
        x = gatedLayer(scope, normalised, config, gate, options.layerBias, x);
      }
      return norm(scope, x, "model.norm", config.normEpsilon);
    },
  };
}
