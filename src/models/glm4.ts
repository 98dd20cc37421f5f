/**
 * GLM-4 of April 2025: Llama's decoder with normalisation before and after attention and feed-forward layer, one
 * projection for gate and up, and positions that turn neighbours in the first half of every head.
 */
import type { Architecture } from "./architecture.ts";
import { gatedFused, selfAttention } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { LLAMA_NAMES, llamaAttention, residualDecoder } from "./residual-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_KEY_VALUE_HEADS = 2;
const DEFAULT_HEAD_SIZE = 128;

const NAMES = {
  ...LLAMA_NAMES,
  attendedNorm: "post_self_attn_layernorm",
  feedForwardNorm: "post_attention_layernorm",
  fedForwardNorm: "post_mlp_layernorm",
};

export const glm4: Architecture = {
  name: "glm4",
  summary:
    "GLM-4 (0414, 9B and 32B): norms before and after, half of every head turned, biases on query, key and value",
  source: "https://arxiv.org/abs/2406.12793",
  network: (fields) => {
    fields.only("mlp_bias", [false]);
    fields.only("sliding_window", []);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      headSize: DEFAULT_HEAD_SIZE,
      rotaryBase: 10_000,
      partialRotary: 0.5,
      isInterleaved: true,
      normEpsilon: 1.5625e-7,
    });
    const inputBias = fields.boolean("attention_bias", true);
    const windows = uniformWindows(fields, config.layers, null);
    return residualDecoder(config, {
      names: NAMES,
      attention: (scope, { layer, prefix, x }) =>
        selfAttention(scope, x, config, {
          names: llamaAttention(prefix),
          inputBias,
          outputBias: false,
          window: windows[layer]!,
        }),
      feedForward: (scope, { prefix, x }) =>
        gatedFused(scope, x, config, { gateUp: `${prefix}mlp.gate_up_proj`, down: `${prefix}mlp.down_proj` }),
    });
  },
};
