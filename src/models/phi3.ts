/**
 * Phi-3 with its short contexts: Mistral's decoder with one projection for queries, keys and values and one for gate and
 * up. Its long contexts (`rope_scaling` of type longrope, with two tables of factors) are refused;
 * `original_max_position_embeddings` belongs to them and has no meaning here.
 */
import type { Architecture } from "./architecture.ts";
import { attention, gatedFused, project, projectFused } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { residualDecoder } from "./residual-decoder.ts";

export const phi3: Architecture = {
  name: "phi3",
  summary: "Phi-3 (4k contexts): fused projections, sliding window",
  source: "https://arxiv.org/abs/2404.14219",
  network: (fields) => {
    for (const bias of ["attention_bias", "mlp_bias"]) fields.only(bias, [false]);
    const config = readDecoderConfig(fields, { keyValueHeads: "heads", rotaryBase: 10_000, normEpsilon: 1e-5 });
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
