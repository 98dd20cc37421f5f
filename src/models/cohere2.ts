/**
 * Command R7B and Command A: attention and feed-forward layer side by side, both from one normalised copy of the rows,
 * normalisation that subtracts the mean, three windowed layers to one that sees everything and turns nothing, and logits
 * times a scale.
 */

import { scale } from "../graph/ops/arithmetic.ts";
import { type Table, tableOf } from "../table.ts";
import type { Architecture, ModelConfig, Network } from "./architecture.ts";
import { gatedLayer, meanNorm, selfAttention } from "./blocks.ts";
import type { ConfigFields } from "./config-fields.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { periodicWindows } from "./layer-windows.ts";
import { LLAMA_NAMES, layerPrefix, llamaAttention, llamaGate } from "./residual-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_PERIOD = 4;
const DEFAULT_LOGIT_SCALE = 0.0625;
const DEFAULT_EPSILON = 1e-5;

/** What published configs say of the form that every model of this type has. */
const FORM: Table<readonly unknown[]> = tableOf({
  mlp_bias: [false],
  order_of_interleaved_layers: ["local_attn_first"],
  position_embedding_type: ["rope_gptj"],
  use_gated_activation: [true],
  use_parallel_block: [true],
});

export const cohere2: Architecture = {
  name: "cohere2",
  summary: "Command R7B, Command A: attention beside the feed-forward layer, windows with rotary positions, tied head",
  source: "https://arxiv.org/abs/2504.00698",
  network: (fields) => {
    for (const [field, values] of Object.entries(FORM)) fields.only(field, values);
    const config = {
      ...readDecoderConfig(fields, {
        keyValueHeads: "heads",
        rotaryBase: 10_000,
        isInterleaved: true,
        normEpsilon: DEFAULT_EPSILON,
        tied: true,
        reads: ["logit_scale"],
      }),
      normEpsilon: fields.positive("layer_norm_eps", DEFAULT_EPSILON),
    };
    if (config.heads * config.headSize !== config.hiddenSize) {
      fields.lack("head_dim", `expected hidden_size / num_attention_heads, found ${config.headSize}`);
    }
    return parallelDecoder(config, fields);
  },
};

function parallelDecoder(config: ModelConfig, fields: ConfigFields): Network {
  const bias = fields.boolean("attention_bias", false);
  const windows = periodicWindows(fields, config.layers, DEFAULT_PERIOD);
  const logitScale = fields.positive("logit_scale", DEFAULT_LOGIT_SCALE);
  return {
    config,
    embedding: LLAMA_NAMES.embedding,
    head: config.tied ? LLAMA_NAMES.embedding : LLAMA_NAMES.head,
    layerPrefix,
    enter: (_, embedded) => embedded,
    layer: (scope, index, x) => {
      const prefix = layerPrefix(index);
      const window = windows[index]!;
      const read = meanNorm(scope, x, `${prefix}input_layernorm`, config.normEpsilon);
      const attended = selfAttention(
        scope,
        read,
        config,
        {
          names: llamaAttention(prefix),
          inputBias: bias,
          outputBias: bias,
          window,
          rotary: window === null ? null : config.rotary,
        },
        x,
      );
      return gatedLayer(scope, read, config, { names: llamaGate(prefix), bias: false }, attended);
    },
    leave: (scope, x) => scale(meanNorm(scope, x, LLAMA_NAMES.finalNorm, config.normEpsilon), logitScale),
  };
}
