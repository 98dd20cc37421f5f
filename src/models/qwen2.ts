/**
 * Qwen1.5, Qwen2 and Qwen2.5: biases on query, key and value, often a tied head, and a sliding window that published
 * checkpoints switch off.
 */
import type { Architecture } from "./architecture.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { switchedWindows } from "./layer-windows.ts";
import { llamaDecoder } from "./llama-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_KEY_VALUE_HEADS = 32;

export const qwen2: Architecture = {
  name: "qwen2",
  summary: "Qwen1.5, Qwen2, Qwen2.5: biases on query, key and value; tied heads; optional sliding window",
  source: "https://arxiv.org/abs/2407.10671",
  network: (fields) => {
    for (const bias of ["attention_bias", "mlp_bias"]) fields.only(bias, [false]);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      rotaryBase: 10_000,
      normEpsilon: 1e-6,
    });
    const windows = switchedWindows(fields, config.layers);
    return llamaDecoder(config, { inputBias: true, outputBias: false, layerBias: false, windows });
  },
};
