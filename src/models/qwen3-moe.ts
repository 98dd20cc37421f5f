/**
 * Qwen3, its sizes with experts: the attention of Qwen3, and feed-forward layers that are experts of which a router
 * chooses a few for every position, but in the layers that the config names. The loss that balances the experts' load is
 * none of fusion's, as for Mixtral.
 */
import { excerptOf } from "../excerpt.ts";
import type { Architecture } from "./architecture.ts";
import { gatedLayer } from "./blocks.ts";
import type { ConfigFields } from "./config-fields.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { expertLayer, readExperts } from "./expert-layer.ts";
import { qwen3Attention } from "./qwen3.ts";
import { llamaGate, residualDecoder } from "./residual-decoder.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_KEY_VALUE_HEADS = 4;
const DEFAULT_EXPERTS = 128;
const DEFAULT_CHOSEN = 8;
const DEFAULT_EXPERT_SIZE = 768;

export const qwen3Moe: Architecture = {
  name: "qwen3_moe",
  publishedClass: "Qwen3MoeForCausalLM",
  summary: "Qwen3 (30B-A3B, 235B-A22B, Coder): attention of Qwen3, experts, trained with their router",
  source: "https://arxiv.org/abs/2505.09388",
  network: (fields) => {
    fields.only("mlp_bias", [false]);
    fields.boolean("output_router_logits", false);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      rotaryBase: 10_000,
      normEpsilon: 1e-6,
    });
    const experts = {
      ...readExperts(fields, { experts: DEFAULT_EXPERTS, chosen: DEFAULT_CHOSEN }),
      size: fields.count("moe_intermediate_size", DEFAULT_EXPERT_SIZE),
      normalised: fields.boolean("norm_topk_prob", false),
    };
    const isSparse = sparseLayers(fields, config.layers);
    return residualDecoder(config, {
      attention: qwen3Attention(fields, config),
      feedForward: (scope, { layer, prefix, x, residual }) => {
        if (!isSparse[layer]) return gatedLayer(scope, x, config, { names: llamaGate(prefix), bias: false }, residual);
        const names = (expert: number) => llamaGate(`${prefix}mlp.experts.${expert}.`, "");
        return expertLayer(scope, x, config, { ...experts, router: `${prefix}mlp.gate`, names }, residual);
      },
    });
  },
};

/** Every `decoder_sparse_step`-th layer has experts, but those that `mlp_only_layers` names. */
function sparseLayers(fields: ConfigFields, layers: number): boolean[] {
  const step = fields.count("decoder_sparse_step", 1);
  const dense: unknown = fields.value("mlp_only_layers") ?? [];
  if (!Array.isArray(dense) || !dense.every((layer) => Number.isSafeInteger(layer))) {
    fields.refuse("mlp_only_layers", `expected a list of layers, found ${excerptOf(dense)}`);
  }
  return Array.from({ length: layers }, (_, layer) => !(dense as number[]).includes(layer) && (layer + 1) % step === 0);
}
