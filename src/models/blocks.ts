/**
 * The parts decoders are made of. Each reads its weights under the checkpoint names it is given; activations are rows
 * `[batch * length, width]` throughout.
 */
import type { Value } from "../graph/graph.ts";
import { add, addScalar } from "../graph/ops/arithmetic.ts";
import { gatedSilu } from "../graph/ops/gated-silu.ts";
import { layerNorm } from "../graph/ops/layer-norm.ts";
import { linear } from "../graph/ops/matmul.ts";
import { panelProduct, panelShape } from "../graph/ops/panel-product.ts";
import { fusedRmsNorm, rmsNorm } from "../graph/ops/rms-norm.ts";
import { reshape } from "../graph/ops/shape.ts";
import { split } from "../graph/ops/split.ts";
import type { ModelConfig, RotaryEmbedding, Scope } from "./architecture.ts";
import { attend } from "./attend.ts";

/** A normalised copy of the rows; `name` is that of the module, its weight [width], to which `offset` is added. */
export function norm(scope: Scope, x: Value, name: string, epsilon: number, offset = 0): Value {
  const weight = addScalar(scope.weight(`${name}.weight`, [x.shape[1]!]), offset);
  return scope.panels ? fusedRmsNorm(x, weight, epsilon) : rmsNorm(x, weight, epsilon);
}

/** The same, with the mean subtracted first; the weight is all there is, no bias. */
export function meanNorm(scope: Scope, x: Value, name: string, epsilon: number): Value {
  return layerNorm(x, scope.weight(`${name}.weight`, [x.shape[1]!]), epsilon);
}

/** Every head of `x` [rows, heads * headSize] normalised by itself, with one weight [headSize] for all of them. */
function headNorm(scope: Scope, x: Value, name: string, config: ModelConfig, offset = 0): Value {
  const { headSize, normEpsilon } = config;
  const [rows, width] = x.shape as [number, number];
  const heads = reshape(x, [rows * (width / headSize), headSize]);
  return reshape(norm(scope, heads, name, normEpsilon, offset), [rows, width]);
}

export interface ProjectionOptions {
  readonly bias?: boolean;
  /** Added to the result. */
  readonly residual?: Value | undefined;
}

/** `x weight^T`, weight [width, x's width]. */
export function project(scope: Scope, x: Value, name: string, width: number, options: ProjectionOptions = {}): Value {
  const shape = [width, x.shape[1]!] as const;
  const panels = scope.panels ? panelShape(shape) : null;
  const weight = scope.weight(`${name}.weight`, panels ?? shape);
  const bias = options.bias ? scope.weight(`${name}.bias`, [width]) : undefined;
  if (panels === null) return linear(x, weight, bias, options.residual);
  return [bias, options.residual].reduce<Value>(
    (sum, more) => (more === undefined ? sum : add(sum, more)),
    panelProduct(x, weight),
  );
}

/** Queries [rows, heads * headSize], keys and values [rows, keyValueHeads * headSize]. */
export interface Projected {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

export type ProjectionNames = Readonly<Record<keyof Projected, string>>;

/** Queries, keys and values by a projection each. */
export function projectHeads(
  scope: Scope,
  x: Value,
  { heads, keyValueHeads, headSize }: ModelConfig,
  names: ProjectionNames,
  bias: boolean,
): Projected {
  return {
    query: project(scope, x, names.query, heads * headSize, { bias }),
    key: project(scope, x, names.key, keyValueHeads * headSize, { bias }),
    value: project(scope, x, names.value, keyValueHeads * headSize, { bias }),
  };
}

/** Queries, keys and values by one projection whose rows are all queries, then all keys, then all values. */
export function projectFused(
  scope: Scope,
  x: Value,
  { heads, keyValueHeads, headSize }: ModelConfig,
  name: string,
): Projected {
  const widths = [heads * headSize, keyValueHeads * headSize, keyValueHeads * headSize];
  const fused = project(scope, x, name, (heads + 2 * keyValueHeads) * headSize);
  const [query, key, value] = split(fused, 1, widths);
  return { query: query!, key: key!, value: value! };
}

/** The same, for rows that are the queries of one key head, its key, its value, and then those of the next key head. */
export function projectGrouped(
  scope: Scope,
  x: Value,
  { heads, keyValueHeads, headSize }: ModelConfig,
  name: string,
  bias: boolean,
): Projected {
  const rows = x.shape[0]!;
  const group = heads / keyValueHeads;
  const fused = project(scope, x, name, (heads + 2 * keyValueHeads) * headSize, { bias });
  const groups = reshape(fused, [rows, keyValueHeads, (group + 2) * headSize]);
  const [query, key, value] = split(groups, 2, [group * headSize, headSize, headSize]);
  return {
    query: reshape(query!, [rows, heads * headSize]),
    key: reshape(key!, [rows, keyValueHeads * headSize]),
    value: reshape(value!, [rows, keyValueHeads * headSize]),
  };
}

/** Normalises every head of queries and keys, by the weights `q_norm` and `k_norm` of a layer's attention. */
export function headNorms(scope: Scope, prefix: string, config: ModelConfig, offset = 0) {
  return ({ query, key, value }: Projected): Projected => ({
    query: headNorm(scope, query, `${prefix}self_attn.q_norm`, config, offset),
    key: headNorm(scope, key, `${prefix}self_attn.k_norm`, config, offset),
    value,
  });
}

export interface AttentionOptions {
  /** The angles of this layer, null where positions turn nothing; those of the config where absent. */
  readonly rotary?: RotaryEmbedding | null;
  /** Positions a position sees, itself included; null sees all before it. */
  readonly window: number | null;
  /** Multiplies the products of queries and keys; 1 / sqrt(headSize) where absent. */
  readonly scale?: number;
  /** Scaled products z become `cap * tanh(z / cap)`; absent or null leaves them. */
  readonly cap?: number | null;
}

/** Causal attention: [rows, heads * headSize]. */
export function attention(
  scope: Scope,
  projected: Projected,
  { rotary: common, heads, keyValueHeads, headSize }: ModelConfig,
  { rotary = common, window, scale = 1 / Math.sqrt(headSize), cap = null }: AttentionOptions,
): Value {
  return attend(scope, projected, { rotary, heads, keyValueHeads, headSize, scale, window, cap });
}

export interface AttentionNames extends ProjectionNames {
  readonly output: string;
}

export interface SelfAttentionOptions extends AttentionOptions {
  readonly names: AttentionNames;
  /** Biases of the query, key and value projections, and of the output's. */
  readonly inputBias: boolean;
  readonly outputBias: boolean;
  /** What becomes of queries and keys before positions turn them. */
  readonly normalise?: (projected: Projected) => Projected;
}

/** Causal self-attention of `x` with a projection each, added to `residual` where there is one. */
export function selfAttention(
  scope: Scope,
  x: Value,
  config: ModelConfig,
  options: SelfAttentionOptions,
  residual?: Value,
): Value {
  const { names, inputBias, outputBias, normalise = (projected: Projected) => projected } = options;
  const projected = projectHeads(scope, x, config, names, inputBias);
  const attended = attention(scope, normalise(projected), config, options);
  return project(scope, attended, names.output, config.hiddenSize, { bias: outputBias, residual });
}

export interface GatedLayerNames {
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

export interface GatedLayerOptions {
  readonly names: GatedLayerNames;
  readonly bias: boolean;
  /** What becomes of gate and up; `silu(gate) * up` where absent. */
  readonly gated?: (gate: Value, up: Value) => Value;
}

/** The gated feed-forward layer (Shazeer 2020) of `x`, added to `residual` where there is one. */
export function gatedLayer(
  scope: Scope,
  x: Value,
  { intermediateSize, hiddenSize }: ModelConfig,
  { names, bias, gated = gatedSilu }: GatedLayerOptions,
  residual?: Value,
): Value {
  const gate = project(scope, x, names.gate, intermediateSize, { bias });
  const up = project(scope, x, names.up, intermediateSize, { bias });
  return project(scope, gated(gate, up), names.down, hiddenSize, { bias, residual });
}

/** The same, for one projection whose rows are the gate's and then the other's. */
export function gatedFused(
  scope: Scope,
  x: Value,
  { intermediateSize, hiddenSize }: ModelConfig,
  names: { readonly gateUp: string; readonly down: string },
  residual?: Value,
): Value {
  const fused = project(scope, x, names.gateUp, 2 * intermediateSize);
  const [gate, up] = split(fused, 1, [intermediateSize, intermediateSize]);
  return project(scope, gatedSilu(gate!, up!), names.down, hiddenSize, { residual });
}
