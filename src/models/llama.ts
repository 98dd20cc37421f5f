/** Llama 1 to 3, and the many models that took over their form, SOLAR, Yi and SmolLM among them. */
import type { Architecture } from "./architecture.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { llamaDecoder } from "./llama-decoder.ts";

export const llama: Architecture = {
  name: "llama",
  summary: "Llama 1 to 3, SOLAR, Yi, TinyLlama, SmolLM: grouped heads, stretched rotary positions, optional biases",
  source: "https://arxiv.org/abs/2407.21783",
  network: (fields) => {
    // Products cut into so many parts and joined again: the same numbers up to rounding.
    fields.count("pretraining_tp", 1);
    fields.only("sliding_window", []);
    const config = readDecoderConfig(fields, { keyValueHeads: "heads", rotaryBase: 10_000, normEpsilon: 1e-6 });
    const attentionBias = fields.boolean("attention_bias", false);
    return llamaDecoder(config, {
      inputBias: attentionBias,
      outputBias: attentionBias,
      layerBias: fields.boolean("mlp_bias", false),
      windows: uniformWindows(fields, config.layers, null),
    });
  },
};
