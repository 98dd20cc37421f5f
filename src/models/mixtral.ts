/**
 * Mixtral: the decoder of Mistral whose feed-forward layers are experts, of which a router chooses a few for every
 * position. The loss that balances the experts' load (`router_aux_loss_coef`, where `output_router_logits` is set) is
 * a term its authors trained with; fusion trains with its own loss, which has no such term, router included.
 */
import type { Architecture, ModelConfig, Network } from "./architecture.ts";
import { norm, selfAttention } from "./blocks.ts";
import type { ConfigFields } from "./config-fields.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { expertLayer } from "./expert-layer.ts";

/** What the published code assumes where the config is silent. */
const DEFAULT_KEY_VALUE_HEADS = 8;
const DEFAULT_EXPERTS = 8;
const DEFAULT_CHOSEN = 2;

export const mixtral: Architecture = {
  name: "mixtral",
  summary: "Mixtral, Nous Hermes 2 Mixtral: experts, a few of them at every position, trained with their router",
  source: "https://arxiv.org/abs/2401.04088",
  network: (fields) => {
    for (const bias of ["attention_bias", "mlp_bias"]) fields.only(bias, [false]);
    // Noise on what the router reads, in training only.
    fields.only("router_jitter_noise", [0]);
    fields.boolean("output_router_logits", false);
    const config = readDecoderConfig(fields, {
      keyValueHeads: DEFAULT_KEY_VALUE_HEADS,
      rotaryBase: 1_000_000,
      normEpsilon: 1e-5,
    });
    const window = fields.value("sliding_window") === undefined ? null : fields.count("sliding_window");
    return mixtralDecoder(config, { window, ...readExperts(fields) });
  },
};

interface MixtralOptions {
  readonly window: number | null;
  readonly experts: number;
  readonly chosen: number;
}

function readExperts(fields: ConfigFields): Pick<MixtralOptions, "experts" | "chosen"> {
  const experts = fields.count("num_local_experts", DEFAULT_EXPERTS);
  const chosen = fields.count("num_experts_per_tok", DEFAULT_CHOSEN);
  if (chosen > experts) {
    fields.refuse("num_experts_per_tok", `expected at most num_local_experts (${experts}), found ${chosen}`);
  }
  return { experts, chosen };
}

function mixtralDecoder(config: ModelConfig, { window, experts, chosen }: MixtralOptions): Network {
  const embedding = "model.embed_tokens.weight";
  const layerPrefix = (layer: number): string => `model.layers.${layer}.`;
  return {
    config,
    embedding,
    head: config.tied ? embedding : "lm_head.weight",
    layerPrefix,
    enter: (_, embedded) => embedded,
    layer: (scope, index, x) => {
      const prefix = layerPrefix(index);
      const attention = {
        names: {
          query: `${prefix}self_attn.q_proj`,
          key: `${prefix}self_attn.k_proj`,
          value: `${prefix}self_attn.v_proj`,
          output: `${prefix}self_attn.o_proj`,
        },
        inputBias: false,
        outputBias: false,
        window,
      };
      const feedForward = {
        experts,
        chosen,
        router: `${prefix}block_sparse_moe.gate`,
        names: (expert: number) => {
          const module = `${prefix}block_sparse_moe.experts.${expert}`;
          return { gate: `${module}.w1`, up: `${module}.w3`, down: `${module}.w2` };
        },
      };
      const before = norm(scope, x, `${prefix}input_layernorm`, config.normEpsilon);
      const attended = selfAttention(scope, before, config, attention, x);
      const normalised = norm(scope, attended, `${prefix}post_attention_layernorm`, config.normEpsilon);
      return expertLayer(scope, normalised, config, feedForward, attended);
    },
    leave: (scope, x) => norm(scope, x, "model.norm", config.normEpsilon),
  };
}
