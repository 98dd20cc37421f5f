/** Llama and Llama 2, and the many models that took over their form, SOLAR among them. */
import type { Architecture } from "./architecture.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { llamaDecoder } from "./llama-decoder.ts";

export const llama: Architecture = {
  name: "llama",
  summary: "Llama, Llama 2, SOLAR, Yi, SmolLM: optional biases and grouped heads; no rotary scaling",
  source: "https://arxiv.org/abs/2307.09288",
  network: (fields) => {
    fields.only("pretraining_tp", [1]);
    const config = readDecoderConfig(fields, { keyValueHeads: "heads", rotaryBase: 10_000, normEpsilon: 1e-6 });
    const attentionBias = fields.boolean("attention_bias", false);
    return llamaDecoder(config, {
      inputBias: attentionBias,
      outputBias: attentionBias,
      layerBias: fields.boolean("mlp_bias", false),
      window: () => null,
    });
  },
};
