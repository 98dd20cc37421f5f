/**
 * OLMo 2: Llama's decoder with normalisation of what attention and feed-forward layer add in place of what they read
 * (report, section 3.2), and with queries and keys normalised over all their heads at once.
 */
import type { Architecture } from "./architecture.ts";
import { gatedLayer, norm, selfAttention } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { LLAMA_NAMES, llamaAttention, llamaGate, residualDecoder } from "./residual-decoder.ts";

const NAMES = {
  ...LLAMA_NAMES,
  attentionNorm: null,
  attendedNorm: "post_attention_layernorm",
  feedForwardNorm: null,
  fedForwardNorm: "post_feedforward_layernorm",
};

export const olmo2: Architecture = {
  name: "olmo2",
  summary: "OLMo 2: norms after attention and feed-forward layer, queries and keys normalised over all heads",
  source: "https://arxiv.org/abs/2501.00656",
  network: (fields) => {
    fields.only("mlp_bias", [false]);
    fields.only("sliding_window", []);
    const config = readDecoderConfig(fields, { keyValueHeads: "heads", rotaryBase: 10_000, normEpsilon: 1e-5 });
    const bias = fields.boolean("attention_bias", false);
    const windows = uniformWindows(fields, config.layers, null);
    return residualDecoder(config, {
      names: NAMES,
      attention: (scope, { layer, prefix, x }) =>
        selfAttention(scope, x, config, {
          names: llamaAttention(prefix),
          inputBias: bias,
          outputBias: bias,
          window: windows[layer]!,
          normalise: ({ query, key, value }) => ({
            query: norm(scope, query, `${prefix}self_attn.q_norm`, config.normEpsilon),
            key: norm(scope, key, `${prefix}self_attn.k_norm`, config.normEpsilon),
            value,
          }),
        }),
      feedForward: (scope, { prefix, x }) => gatedLayer(scope, x, config, { names: llamaGate(prefix), bias: false }),
    });
  },
};
