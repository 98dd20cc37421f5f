/**
 * Granite 3, its dense sizes: Llama's decoder with four multipliers, of embeddings, of the products of queries and keys, of
 * what attention and feed-forward layer add, and of logits, which are divided by theirs.
 */
import type { Architecture } from "./architecture.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { llamaDecoder } from "./llama-decoder.ts";

export const granite: Architecture = {
  name: "granite",
  summary: "Granite 3 (dense): multipliers of embeddings, attention, residuals and logits",
  source: "https://github.com/ibm-granite/granite-3.0-language-models/blob/main/paper.pdf",
  network: (fields) => {
    fields.only("sliding_window", []);
    const config = readDecoderConfig(fields, {
      keyValueHeads: "heads",
      rotaryBase: 10_000,
      normEpsilon: 1e-6,
      reads: ["embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"],
    });
    const attentionBias = fields.boolean("attention_bias", false);
    return llamaDecoder(config, {
      inputBias: attentionBias,
      outputBias: attentionBias,
      layerBias: fields.boolean("mlp_bias", false),
      windows: uniformWindows(fields, config.layers, null),
      attentionScale: fields.positive("attention_multiplier", 1),
      embeddingScale: fields.positive("embedding_multiplier", 1),
      branchScale: fields.positive("residual_multiplier", 1),
      logitScale: 1 / fields.positive("logits_scaling", 1),
    });
  },
};
