/** The decoder of Llama, which Mistral and Qwen2 kept, weight names included. They differ in biases and windows. */
import type { ModelConfig, Network } from "./architecture.ts";
import { gatedLayer, selfAttention } from "./blocks.ts";
import { llamaAttention, llamaGate, residualDecoder } from "./residual-decoder.ts";

export interface LlamaDecoderOptions {
  /** Biases of the query, key and value projections. */
  readonly inputBias: boolean;
  /** Bias of the attention's output projection. */
  readonly outputBias: boolean;
  /** Biases of the feed-forward layer. */
  readonly layerBias: boolean;
  /** The sliding window of every layer, null where it sees everything before it. */
  readonly windows: readonly (number | null)[];
  /** Whether positions turn a layer's queries and keys; all where absent. */
  readonly turns?: readonly boolean[];
  /** Multiplies the products of queries and keys; 1 / sqrt(headSize) where absent. */
  readonly attentionScale?: number;
  /** As in `ResidualDecoder`. */
  readonly embeddingScale?: number;
  readonly branchScale?: number;
  readonly logitScale?: number;
}

export function llamaDecoder(config: ModelConfig, options: LlamaDecoderOptions): Network {
  const { inputBias, outputBias, layerBias, windows, turns, attentionScale, ...scales } = options;
  const scale = attentionScale === undefined ? {} : { scale: attentionScale };
  return residualDecoder(config, {
    ...scales,
    attention: (scope, { layer, prefix, x, residual }) =>
      selfAttention(
        scope,
        x,
        config,
        {
          names: llamaAttention(prefix),
          inputBias,
          outputBias,
          window: windows[layer]!,
          rotary: turns?.[layer] === false ? null : config.rotary,
          ...scale,
        },
        residual,
      ),
    feedForward: (scope, { prefix, x, residual }) =>
      gatedLayer(scope, x, config, { names: llamaGate(prefix), bias: layerBias }, residual),
  });
}
