/**
 * InternLM2: Llama's decoder under names of its own, with queries, keys and values in one projection, group by group:
 * the queries that share a key head, that key head, its value head.
 */
import type { Architecture } from "./architecture.ts";
import { attention, gatedLayer, project, projectGrouped } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { uniformWindows } from "./layer-windows.ts";
import { residualDecoder } from "./residual-decoder.ts";

const NAMES = {
  embedding: "model.tok_embeddings.weight",
  head: "output.weight",
  finalNorm: "model.norm",
  attentionNorm: "attention_norm",
  feedForwardNorm: "ffn_norm",
};

export const internlm2: Architecture = {
  name: "internlm2",
  summary: "InternLM2, InternLM2.5: queries, keys and values in one projection; rotary positions up to the context",
  source: "https://arxiv.org/abs/2403.17297",
  network: (fields) => {
    // Products cut into so many parts and joined again: the same numbers up to rounding.
    fields.count("pretraining_tp", 1);
    fields.only("sliding_window", []);
    for (const bias of ["attention_bias", "mlp_bias"]) fields.only(bias, [false]);
    const config = readDecoderConfig(fields, { keyValueHeads: "heads", rotaryBase: 10_000, normEpsilon: 1e-6 });
    if (config.heads * config.headSize !== config.hiddenSize) {
      fields.lack("head_dim", `expected hidden_size / num_attention_heads, found ${config.headSize}`);
    }
    const bias = fields.boolean("bias", true);
    const windows = uniformWindows(fields, config.layers, null);
    return residualDecoder(config, {
      names: NAMES,
      attention: (scope, { layer, prefix, x, residual }) => {
        const projected = projectGrouped(scope, x, config, `${prefix}attention.wqkv`, bias);
        const attended = attention(scope, projected, config, { window: windows[layer]! });
        return project(scope, attended, `${prefix}attention.wo`, config.hiddenSize, { bias, residual });
      },
      feedForward: (scope, { prefix, x, residual }) => {
        const module = `${prefix}feed_forward`;
        const names = { gate: `${module}.w1`, up: `${module}.w3`, down: `${module}.w2` };
        return gatedLayer(scope, x, config, { names, bias: false }, residual);
      },
    });
  },
};
