/**
 * Gemma 3, text only (report, section 2): what `gemma-decoder.ts` has, with every head's queries and keys normalised in
 * place of Gemma 2's caps. Five of six layers have a short window and angles of a small base; the sixth sees everything,
 * with a large base that may be stretched.
 */
import type { Architecture } from "./architecture.ts";
import { headNorms, selfAttention } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { gemmaDecoder, NORM_OFFSET } from "./gemma-decoder.ts";
import { periodicWindows } from "./layer-windows.ts";
import { llamaAttention } from "./residual-decoder.ts";
import type { RotaryOptions } from "./rotary-kind.ts";
import { readLayerAngles } from "./rotary-scaling.ts";

/** What the published code assumes where the config is silent, as configs of the larger sizes are. */
const DEFAULT_HEADS = 8;
const DEFAULT_KEY_VALUE_HEADS = 4;
const DEFAULT_HEAD_SIZE = 256;
const DEFAULT_VOCABULARY = 262_208;
const DEFAULT_CONTEXT = 131_072;
const DEFAULT_QUERY_SCALAR = 256;
const DEFAULT_PERIOD = 6;
const GLOBAL_BASE = 1_000_000;
const LOCAL_BASE = 10_000;

export const gemma3Text: Architecture = {
  name: "gemma3_text",
  publishedClass: "Gemma3ForCausalLM",
  summary: "Gemma 3 (270M, 1B): normalised queries and keys, five windows to a global layer of other angles, tied head",
  source: "https://arxiv.org/abs/2503.19786",
  network: (fields) => {
    fields.only("mlp_bias", [false]);
    fields.only("use_bidirectional_attention", [false]);
    const angles = (options: RotaryOptions) => readLayerAngles(fields, { ...options, slidingBase: LOCAL_BASE });
    const config = readDecoderConfig(fields, {
      heads: DEFAULT_HEADS,
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      headSize: DEFAULT_HEAD_SIZE,
      vocabularySize: DEFAULT_VOCABULARY,
      maxPositions: DEFAULT_CONTEXT,
      rotaryBase: GLOBAL_BASE,
      rotary: (_, options) => angles(options).full,
      normEpsilon: 1e-6,
      tied: true,
      activation: "gelu_pytorch_tanh",
    });
    const { sliding } = angles({ ...config, base: GLOBAL_BASE });
    const logitCap = fields.positiveOrNull("final_logit_softcapping", null);
    const bias = fields.boolean("attention_bias", false);
    const scale = fields.positive("query_pre_attn_scalar", DEFAULT_QUERY_SCALAR) ** -0.5;
    const windows = periodicWindows(fields, config.layers, DEFAULT_PERIOD);
    return gemmaDecoder({ ...config, logitCap }, (scope, { layer, prefix, x }) => {
      const window = windows[layer]!;
      return selfAttention(scope, x, config, {
        names: llamaAttention(prefix),
        inputBias: bias,
        outputBias: bias,
        normalise: headNorms(scope, prefix, config, NORM_OFFSET),
        rotary: window === null ? config.rotary : sliding,
        window,
        scale,
      });
    });
  },
};
