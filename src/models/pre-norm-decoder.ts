/**
 * The decoder that Llama introduced and most others kept: normalise, attend, add; normalise, feed forward, add; one
 * last normalisation before the head. Architectures differ in what attention and feed-forward layer are, and in names.
 */
import type { Value } from "../graph/graph.ts";
import type { ModelConfig, Network, Scope } from "./architecture.ts";
import { norm } from "./blocks.ts";

export interface DecoderNames {
  /** Weights [vocabulary, hidden]. */
  readonly embedding: string;
  readonly head: string;
  /** Module of the last normalisation. */
  readonly finalNorm: string;
  /** Modules of a layer's normalisations, below its prefix. */
  readonly attentionNorm: string;
  readonly feedForwardNorm: string;
}

/** The names of Llama's checkpoints, which most others use. */
export const LLAMA_NAMES: DecoderNames = {
  embedding: "model.embed_tokens.weight",
  head: "lm_head.weight",
  finalNorm: "model.norm",
  attentionNorm: "input_layernorm",
  feedForwardNorm: "post_attention_layernorm",
};

/** What the names of a layer's weights begin with. */
export function layerPrefix(layer: number): string {
  return `model.layers.${layer}.`;
}

/** Names of the four projections of attention in Llama's checkpoints. */
export function llamaAttention(prefix: string): Record<"query" | "key" | "value" | "output", string> {
  return {
    query: `${prefix}self_attn.q_proj`,
    key: `${prefix}self_attn.k_proj`,
    value: `${prefix}self_attn.v_proj`,
    output: `${prefix}self_attn.o_proj`,
  };
}

/** Names of the three projections of a gated layer in Llama's checkpoints. */
export function llamaGate(prefix: string): Record<"gate" | "up" | "down", string> {
  return { gate: `${prefix}mlp.gate_proj`, up: `${prefix}mlp.up_proj`, down: `${prefix}mlp.down_proj` };
}

/** Half a layer. */
export interface HalfLayer {
  /** Index of the layer. */
  readonly layer: number;
  readonly prefix: string;
  /** The normalised rows it reads. */
  readonly x: Value;
  /** What its result is added to. */
  readonly residual: Value;
}

export interface PreNormDecoder {
  readonly names?: DecoderNames;
  readonly attention: (scope: Scope, half: HalfLayer) => Value;
  readonly feedForward: (scope: Scope, half: HalfLayer) => Value;
}

export function preNormDecoder(config: ModelConfig, decoder: PreNormDecoder): Network {
  const { names = LLAMA_NAMES, attention, feedForward } = decoder;
  return {
    config,
    embedding: names.embedding,
    head: config.tied ? names.embedding : names.head,
    layerPrefix,
    enter: (_, embedded) => embedded,
    layer: (scope, layer, residual) => {
      const prefix = layerPrefix(layer);
      const before = norm(scope, residual, `${prefix}${names.attentionNorm}`, config.normEpsilon);
      const attended = attention(scope, { layer, prefix, x: before, residual });
      const normalised = norm(scope, attended, `${prefix}${names.feedForwardNorm}`, config.normEpsilon);
      return feedForward(scope, { layer, prefix, x: normalised, residual: attended });
    },
    leave: (scope, x) => norm(scope, x, names.finalNorm, config.normEpsilon),
  };
}
