/**
 * The decoder that Llama introduced and most others kept: normalise, attend, add; normalise, feed forward, add; one
 * last normalisation before the head. Some normalise what is added, before that or instead. Architectures differ in what
 * attention and feed-forward layer are, and in names.
 */
import type { Value } from "../graph/graph.ts";
import { add, scale } from "../graph/ops/arithmetic.ts";
import type { ModelConfig, Network, Scope } from "./architecture.ts";
import { norm } from "./blocks.ts";

export interface DecoderNames {
  /** Weights [vocabulary, hidden]. */
  readonly embedding: string;
  readonly head: string;
  /** Module of the last normalisation. */
  readonly finalNorm: string;
  /** Modules of a layer's normalisations, below its prefix: of what attention and feed-forward layer read, if any, ... */
  readonly attentionNorm: string | null;
  readonly feedForwardNorm: string | null;
  /** ... and of what they add, where that is normalised. */
  readonly attendedNorm?: string;
  readonly fedForwardNorm?: string;
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

/** Names of the three projections of a gated layer in Llama's checkpoints; `module` is what holds them. */
export function llamaGate(prefix: string, module = "mlp."): Record<"gate" | "up" | "down", string> {
  const name = (part: string): string => `${prefix}${module}${part}_proj`;
  return { gate: name("gate"), up: name("up"), down: name("down") };
}

/** Half a layer. */
export interface HalfLayer {
  /** Index of the layer. */
  readonly layer: number;
  readonly prefix: string;
  /** The rows it reads. */
  readonly x: Value;
  /** What its result is added to; undefined where something comes before the sum, which is then not its own. */
  readonly residual: Value | undefined;
}

/** What attention or feed-forward layer make of the rows. */
type HalfLayerOf = (scope: Scope, half: HalfLayer) => Value;

export interface ResidualDecoder {
  readonly names?: DecoderNames;
  /** The normalised rows; `module` has the weights. RMSNorm where absent. */
  readonly normalise?: (scope: Scope, x: Value, module: string) => Value;
  /** Multiplies looked-up embeddings. */
  readonly embeddingScale?: number;
  /** Multiplies what attention and feed-forward layer add. */
  readonly branchScale?: number;
  /** Multiplies what the head reads, and so the logits. */
  readonly logitScale?: number;
  readonly attention: HalfLayerOf;
  readonly feedForward: HalfLayerOf;
}

export function residualDecoder(config: ModelConfig, decoder: ResidualDecoder): Network {
  const { names = LLAMA_NAMES, embeddingScale = 1, branchScale = 1, logitScale = 1 } = decoder;
  const normalise = decoder.normalise ?? ((scope, x, module) => norm(scope, x, module, config.normEpsilon));
  return {
    config,
    embedding: names.embedding,
    head: config.tied ? names.embedding : names.head,
    layerPrefix,
    enter: (_, embedded) => scale(embedded, embeddingScale),
    layer: (scope, layer, x) => {
      const prefix = layerPrefix(layer);
      const half = (residual: Value, compute: HalfLayerOf, before: string | null, after?: string): Value => {
        const read = before === null ? residual : normalise(scope, residual, `${prefix}${before}`);
        if (after === undefined && branchScale === 1) return compute(scope, { layer, prefix, x: read, residual });
        const added = compute(scope, { layer, prefix, x: read, residual: undefined });
        return add(
          residual,
          scale(after === undefined ? added : normalise(scope, added, `${prefix}${after}`), branchScale),
        );
      };
      const attended = half(x, decoder.attention, names.attentionNorm, names.attendedNorm);
      return half(attended, decoder.feedForward, names.feedForwardNorm, names.fedForwardNorm);
    },
    leave: (scope, x) => scale(normalise(scope, x, names.finalNorm), logitScale),
  };
}
