/**
 * Gemma 2 (report, section 2): normalisation before and after attention and feed-forward layer, soft caps on attention
 * and logits, a window in every other layer, GeGLU, a head tied to the embedding, and embeddings scaled by the square
 * root of the hidden size. The weight of a normalisation is what it adds to one.
 *
 * The published code rounds that square root to the dtype it computes in: in bfloat16 59.87 becomes 59.75 for hidden
 * size 3,584. Here it is rounded to single precision, as there in float32.
 */
import type { Value } from "../graph/graph.ts";
import { add, scale } from "../graph/ops/arithmetic.ts";
import { gatedGelu } from "../graph/ops/gated-gelu.ts";
import type { Architecture, ModelConfig, Network, Scope } from "./architecture.ts";
import { gatedLayer, norm, selfAttention } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { alternatingWindows } from "./layer-windows.ts";
import { LLAMA_NAMES, layerPrefix, llamaAttention, llamaGate } from "./pre-norm-decoder.ts";

/** What the published code assumes where the config is silent; a cap of null means none. */
const DEFAULT_KEY_VALUE_HEADS = 4;
const DEFAULT_HEAD_SIZE = 256;
const DEFAULT_ATTENTION_CAP = 50;
const DEFAULT_LOGIT_CAP = 30;
const DEFAULT_QUERY_SCALAR = 256;

export const gemma2: Architecture = {
  name: "gemma2",
  summary: "Gemma 2: soft caps, alternating sliding window, norms before and after, GeGLU, tied head",
  source: "https://arxiv.org/abs/2408.00118",
  network: (fields) => {
    fields.only("mlp_bias", [false]);
    fields.only("use_bidirectional_attention", [false]);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      headSize: DEFAULT_HEAD_SIZE,
      rotaryBase: 10_000,
      normEpsilon: 1e-6,
      tied: true,
      activation: "gelu_pytorch_tanh",
    });
    return gemma2Decoder(
      { ...config, logitCap: fields.positiveOrNull("final_logit_softcapping", DEFAULT_LOGIT_CAP) },
      {
        bias: fields.boolean("attention_bias", false),
        queryScale: fields.positive("query_pre_attn_scalar", DEFAULT_QUERY_SCALAR) ** -0.5,
        cap: fields.positiveOrNull("attn_logit_softcapping", DEFAULT_ATTENTION_CAP),
        windows: alternatingWindows(fields, config.layers),
      },
    );
  },
};

interface Gemma2Attention {
  readonly bias: boolean;
  readonly queryScale: number;
  readonly cap: number | null;
  readonly windows: readonly (number | null)[];
}

function gemma2Decoder(config: ModelConfig, { bias, queryScale, cap, windows }: Gemma2Attention): Network {
  const normalise = (scope: Scope, x: Value, name: string): Value => norm(scope, x, name, config.normEpsilon, 1);
  return {
    config,
    embedding: LLAMA_NAMES.embedding,
    head: config.tied ? LLAMA_NAMES.embedding : LLAMA_NAMES.head,
    layerPrefix,
    enter: (_, embedded) => scale(embedded, Math.sqrt(config.hiddenSize)),
    layer: (scope, index, x) => {
      const prefix = layerPrefix(index);
      const attended = selfAttention(scope, normalise(scope, x, `${prefix}input_layernorm`), config, {
        names: llamaAttention(prefix),
        inputBias: bias,
        outputBias: bias,
        window: windows[index]!,
        scale: queryScale,
        cap,
      });
      const between = add(x, normalise(scope, attended, `${prefix}post_attention_layernorm`));
      const before = normalise(scope, between, `${prefix}pre_feedforward_layernorm`);
      const gated = gatedLayer(scope, before, config, { names: llamaGate(prefix), bias: false, gated: gatedGelu });
      return add(between, normalise(scope, gated, `${prefix}post_feedforward_layernorm`));
    },
    leave: (scope, x) => normalise(scope, x, LLAMA_NAMES.finalNorm),
  };
}
