/** InternLM3: Llama's decoder under Llama's names, with grouped heads and biases that are switched in two groups. */
import { excerptOf } from "../excerpt.ts";
import type { Architecture } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { llamaDecoder } from "./llama-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_KEY_VALUE_HEADS = 2;
const DEFAULT_HEAD_SIZE = 128;

export const internlm3: Architecture = {
  name: "internlm3",
  summary: "InternLM3: grouped heads, head size of its own, optional biases; rotary positions up to the context",
  source: "https://github.com/InternLM/InternLM",
  network: (fields) => {
    fields.only("sliding_window", []);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      headSize: DEFAULT_HEAD_SIZE,
      rotaryBase: 10_000,
      normEpsilon: 1e-6,
    });
    return llamaDecoder(config, {
      ...readBiases(fields),
      windows: uniformWindows(fields, config.layers, null),
    });
  },
};

/**
 * `qkv_bias` is that of queries, keys and values, `bias` that of all other projections. transformers calls them
 * `attention_bias`, the output projection's included, and `mlp_bias`.
 */
function readBiases(fields: ConfigFields) {
  const attentionBias = fields.boolean("attention_bias", fields.boolean("qkv_bias", false));
  const layerBias = fields.boolean("mlp_bias", fields.boolean("bias", false));
  for (const [field, other, value] of [
    ["qkv_bias", "attention_bias", attentionBias],
    ["bias", "mlp_bias", layerBias],
  ] as const) {
    const found = fields.value(field) ?? value;
    if (found !== value) fields.refuse(field, `is ${excerptOf(found)}, and ${other} is ${value}`);
  }
  const outputBias = fields.value("attention_bias") === undefined ? layerBias : attentionBias;
  return { inputBias: attentionBias, outputBias, layerBias };
}
