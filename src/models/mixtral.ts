/**
 * Mixtral: the decoder of Mistral whose feed-forward layers are experts, of which a router chooses a few for every
 * position. The loss that balances the experts' load (`router_aux_loss_coef`, where `output_router_logits` is set) is
 * a term its authors trained with; fusion trains with its own loss, which has no such term, router included.
 */
import type { Architecture } from "./architecture.ts";
import { type GatedLayerNames, selfAttention } from "./blocks.ts";
import { readDecoderConfig } from "./decoder-config.ts";
import { expertLayer, readExperts } from "./expert-layer.ts";
import { uniformWindows } from "./layer-windows.ts";
import { llamaAttention, residualDecoder } from "./residual-decoder.ts";

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
    const windows = uniformWindows(fields, config.layers, fields.countOrNull("sliding_window", null));
    const experts = {
      ...readExperts(fields, { experts: DEFAULT_EXPERTS, chosen: DEFAULT_CHOSEN }),
      size: config.intermediateSize,
      normalised: true,
    };
    return residualDecoder(config, {
      attention: (scope, { layer, prefix, x, residual }) => {
        const options = { names: llamaAttention(prefix), inputBias: false, outputBias: false, window: windows[layer]! };
        return selfAttention(scope, x, config, options, residual);
      },
      feedForward: (scope, { prefix, x, residual }) => {
        const names = (expert: number): GatedLayerNames => expertNames(prefix, expert);
        return expertLayer(scope, x, config, { ...experts, router: `${prefix}block_sparse_moe.gate`, names }, residual);
      },
    });
  },
};

/** Names of the gated layer that an expert is. */
function expertNames(prefix: string, expert: number): GatedLayerNames {
  const module = `${prefix}block_sparse_moe.experts.${expert}`;
  return { gate: `${module}.w1`, up: `${module}.w3`, down: `${module}.w2` };
}
