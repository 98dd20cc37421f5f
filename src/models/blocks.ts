/**
 * The parts decoders are made of. Each reads its weights under the checkpoint names it is given; activations are rows
 * `[batch * length, width]` throughout.
 */
import type { Value } from "../graph/graph.ts";
import { gatedSilu } from "../graph/ops/gated-silu.ts";
import { linear } from "../graph/ops/matmul.ts";
import { rmsNorm } from "../graph/ops/rms-norm.ts";
import type { ModelConfig, Scope } from "./architecture.ts";
import { attend } from "./attend.ts";

/** A normalised copy of the rows; `name` is that of the module, its weight [width]. */
export function norm(scope: Scope, x: Value, name: string, epsilon: number): Value {
  return rmsNorm(x, scope.weight(`${name}.weight`, [x.shape[1]!]), epsilon);
}

export interface ProjectionOptions {
  readonly bias?: boolean;
  /** Added to the result. */
  readonly residual?: Value;
}

/** `x weight^T`, weight [width, x's width]. */
export function project(scope: Scope, x: Value, name: string, width: number, options: ProjectionOptions = {}): Value {
  const weight = scope.weight(`${name}.weight`, [width, x.shape[1]!]);
  const bias = options.bias ? scope.weight(`${name}.bias`, [width]) : undefined;
  return linear(x, weight, bias, options.residual);
}

export interface AttentionNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
}

export interface SelfAttentionOptions {
  readonly names: AttentionNames;
  /** Biases of the query, key and value projections, and of the output's. */
  readonly inputBias: boolean;
  readonly outputBias: boolean;
  /** Positions a position sees, itself included; null sees all before it. */
  readonly window: number | null;
}

/** Rotary causal self-attention of `x`, added to `residual`. */
export function selfAttention(
  scope: Scope,
  x: Value,
  config: ModelConfig,
  options: SelfAttentionOptions,
  residual: Value,
): Value {
  const { heads, keyValueHeads, headSize } = config;
  const { names, inputBias: bias } = options;
  const query = project(scope, x, names.query, heads * headSize, { bias });
  const key = project(scope, x, names.key, keyValueHeads * headSize, { bias });
  const value = project(scope, x, names.value, keyValueHeads * headSize, { bias });
  const attended = attend(
    scope,
    { query, key, value },
    {
      rotary: config.rotary,
      heads,
      keyValueHeads,
      headSize,
      scale: 1 / Math.sqrt(headSize),
      window: options.window,
      cap: null,
    },
  );
  return project(scope, attended, names.output, config.hiddenSize, { bias: options.outputBias, residual });
}

export interface GatedLayerNames {
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

/** The gated feed-forward layer (SwiGLU) of `x`, added to `residual`. */
export function gatedLayer(
  scope: Scope,
  x: Value,
  config: ModelConfig,
  names: GatedLayerNames,
  bias: boolean,
  residual: Value,
): Value {
  const gate = project(scope, x, names.gate, config.intermediateSize, { bias });
  const up = project(scope, x, names.up, config.intermediateSize, { bias });
  return project(scope, gatedSilu(gate, up), names.down, config.hiddenSize, { bias, residual });
}
