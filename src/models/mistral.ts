/** Mistral 7B and its fine-tunes (OpenChat 3.5, Starling): grouped heads and, in version 0.1, a sliding window. */
import type { Architecture } from "./architecture.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { llamaDecoder } from "./llama-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_WINDOW = 4096;
const DEFAULT_KEY_VALUE_HEADS = 8;

export const mistral: Architecture = {
  name: "mistral",
  summary: "Mistral, OpenChat 3.5, Starling: grouped heads, sliding window",
  source: "https://arxiv.org/abs/2310.06825",
  network: (fields) => {
    for (const bias of ["attention_bias", "mlp_bias"]) fields.only(bias, [false]);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      rotaryBase: 10_000,
      normEpsilon: 1e-6,
    });
    const windows = uniformWindows(fields, config.layers, fields.countOrNull("sliding_window", DEFAULT_WINDOW));
    return llamaDecoder(config, { inputBias: false, outputBias: false, layerBias: false, windows });
  },
};
