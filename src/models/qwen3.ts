/**
 * Qwen3, its dense sizes: Qwen2 without biases, with a head size of its own, and with every head's queries and keys
 * normalised before positions turn them.
 */
import type { Architecture, ModelConfig } from "./architecture.ts";
import { gatedLayer, headNorms, selfAttention } from "./blocks.ts";
import type { ConfigFields } from "./config-fields.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { switchedWindows } from "./layer-windows.ts";
import { llamaAttention, llamaGate, type ResidualDecoder, residualDecoder } from "./residual-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_KEY_VALUE_HEADS = 32;
const DEFAULT_HEAD_SIZE = 128;

export const qwen3: Architecture = {
  name: "qwen3",
  summary: "Qwen3 (dense): normalised queries and keys, head size of its own, tied heads, optional sliding window",
  source: "https://arxiv.org/abs/2505.09388",
  network: (fields) => {
    fields.only("mlp_bias", [false]);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      headSize: DEFAULT_HEAD_SIZE,
      rotaryBase: 10_000,
      normEpsilon: 1e-6,
    });
    return residualDecoder(config, {
      attention: qwen3Attention(fields, config),
      feedForward: (scope, { prefix, x, residual }) =>
        gatedLayer(scope, x, config, { names: llamaGate(prefix), bias: false }, residual),
    });
  },
};

/** Attention of the dense sizes and of those with experts: every head's queries and keys are normalised. */
export function qwen3Attention(fields: ConfigFields, config: ModelConfig): ResidualDecoder["attention"] {
  const bias = fields.boolean("attention_bias", false);
  const windows = switchedWindows(fields, config.layers);
  return (scope, { layer, prefix, x, residual }) => {
    const options = {
      names: llamaAttention(prefix),
      inputBias: bias,
      outputBias: bias,
      window: windows[layer]!,
      normalise: headNorms(scope, prefix, config),
    };
    return selfAttention(scope, x, config, options, residual);
  };
}
