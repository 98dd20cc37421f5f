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
  const layerPrefix = (layer: number): string => `model.layers.${layer}.`;
  return {
    config,
    embedding,
    head: config.tied ? embedding : "lm_head.weight",
    layerPrefix,
    enter: (_, embedded) => embedded,
    layer: (scope, index, x) => {
      const prefix = layerPrefix(index);
      const attention = {
        names: {
          query: `${prefix}self_attn.q_proj`,
          key: `${prefix}self_attn.k_proj`,
          value: `${prefix}self_attn.v_proj`,
          output: `${prefix}self_attn.o_proj`,
        },
        inputBias: options.inputBias,
        outputBias: options.outputBias,
        window: options.window(index),
      };
      const gate = { gate: `${prefix}mlp.gate_proj`, up: `${prefix}mlp.up_proj`, down: `${prefix}mlp.down_proj` };
      const before = norm(scope, x, `${prefix}input_layernorm`, config.normEpsilon);
      const attended = selfAttention(scope, before, config, attention, x);
      const normalised = norm(scope, attended, `${prefix}post_attention_layernorm`, config.normEpsilon);
      return gatedLayer(scope, normalised, config, gate, options.layerBias, attended);
    },
    leave: (scope, x) => norm(scope, x, "model.norm", config.normEpsilon),
  };
}
