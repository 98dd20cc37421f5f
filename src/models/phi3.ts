/**
 * Phi-3 and Phi-4-mini: Mistral's decoder with one projection for queries, keys and values and one for gate and up. Long
 * contexts have LongRoPE, and Phi-4-mini turns a part of every head; `original_max_position_embeddings` belongs to the
 * former and has no meaning without it.
 */
import type { Architecture } from "./architecture.ts";
import { attention, gatedFused, project, projectFused } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { residualDecoder } from "./residual-decoder.ts";

export const phi3: Architecture = {
  name: "phi3",
  summary: "Phi-3, Phi-4-mini: fused projections, sliding window, long contexts by LongRoPE, partly turned heads",
  source: "https://arxiv.org/abs/2404.14219",
  network: (fields) => {
    for (const bias of ["attention_bias", "mlp_bias", "lm_head_bias"]) fields.only(bias, [false]);
    const config = readDecoderConfig(fields, {
      keyValueHeads: "heads",
      rotaryBase: 10_000,
      partialRotary: 1,
      normEpsilon: 1e-5,
    });
    const windows = uniformWindows(fields, config.layers, fields.countOrNull("sliding_window", null));
    return residualDecoder(config, {
      attention: (scope, { layer, prefix, x, residual }) => {
        const projected = projectFused(scope, x, config, `${prefix}self_attn.qkv_proj`);
        const attended = attention(scope, projected, config, { window: windows[layer]! });
        return project(scope, attended, `${prefix}self_attn.o_proj`, config.hiddenSize, { residual });
      },
      feedForward: (scope, { prefix, x, residual }) =>
        gatedFused(scope, x, config, { gateUp: `${prefix}mlp.gate_up_proj`, down: `${prefix}mlp.down_proj` }, residual),
    });
  },
};
