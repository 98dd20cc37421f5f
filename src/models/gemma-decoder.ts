/**
 * What Gemma 2 and 3 share: normalisation before and after attention and feed-forward layer, GeGLU, and embeddings scaled
 * by the square root of the hidden size. The weight of a normalisation is what it adds to one.
 *
 * The published code rounds that square root to the dtype it computes in: in bfloat16 59.87 becomes 59.75 for hidden
 * size 3,584. Here it is rounded to single precision, as there in float32.
 */
import { gatedGelu } from "../graph/ops/gated-gelu.ts";
import type { ModelConfig, Network } from "./architecture.ts";
import { gatedLayer, norm } from "./blocks.ts";
import { LLAMA_NAMES, llamaGate, type ResidualDecoder, residualDecoder } from "./residual-decoder.ts";

/** Added to the weight of every normalisation. */
export const NORM_OFFSET = 1;

const NAMES = {
  ...LLAMA_NAMES,
  attendedNorm: "post_attention_layernorm",
  feedForwardNorm: "pre_feedforward_layernorm",
  fedForwardNorm: "post_feedforward_layernorm",
};

export function gemmaDecoder(config: ModelConfig, attention: ResidualDecoder["attention"]): Network {
  return residualDecoder(config, {
    names: NAMES,
    normalise: (scope, x, module) => norm(scope, x, module, config.normEpsilon, NORM_OFFSET),
    embeddingScale: Math.sqrt(config.hiddenSize),
    attention,
    feedForward: (scope, { prefix, x }) =>
      gatedLayer(scope, x, config, { names: llamaGate(prefix), bias: false, gated: gatedGelu }),
  });
}
