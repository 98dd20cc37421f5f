/**
 * Gemma 2 (report, section 2): soft caps on attention and logits, a window in every other layer, a head tied to the
 * embedding, and what `gemma-decoder.ts` has.
 */
import type { Architecture } from "./architecture.ts";
import { selfAttention } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { gemmaDecoder } from "./gemma-decoder.ts";
import { alternatingWindows } from "./layer-windows.ts";
import { llamaAttention } from "./residual-decoder.ts";

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
    const logitCap = fields.positiveOrNull("final_logit_softcapping", DEFAULT_LOGIT_CAP);
    const bias = fields.boolean("attention_bias", false);
    const scale = fields.positive("query_pre_attn_scalar", DEFAULT_QUERY_SCALAR) ** -0.5;
    const cap = fields.positiveOrNull("attn_logit_softcapping", DEFAULT_ATTENTION_CAP);
    const windows = alternatingWindows(fields, config.layers);
    return gemmaDecoder({ ...config, logitCap }, (scope, { layer, prefix, x }) =>
      selfAttention(scope, x, config, {
        names: llamaAttention(prefix),
        inputBias: bias,
        outputBias: bias,
        window: windows[layer]!,
        scale,
        cap,
      }),
    );
  },
};
