/**
 * Causal attention (Vaswani et al. 2017, eq. 1) with grouped heads (Ainslie et al. 2023) and an optional sliding
 * window (Beltagy et al. 2020). The queries that share one key head are laid one after another, `[group * length, size]`,
 * so keys and values are never repeated and their gradients sum over the group inside the matrix product. Padding on
 * the right needs no mask: no earlier position sees it.
 *
 * The gradient uses `rowsum(dO * O)` for `rowsum(dP * P)` (Dao et al. 2022, section 3.1): head size instead of length.
 */
import { composite, constant, type Graph, sharedConstant, type Value } from "../graph.ts";
import { add, multiply, subtract } from "./arithmetic.ts";
import { reduceSum } from "./broadcast.ts";
import { matmul } from "./matmul.ts";
import { softmax } from "./reduction.ts";
import { reshape, transpose } from "./shape.ts";

export interface AttentionOptions {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  /** Divides `heads`. */
  readonly keyValueHeads: number;
  readonly headSize: number;
  /** Multiplies the products of queries and keys; usually 1 / sqrt(headSize). */
  readonly scale: number;
  /** A position sees itself and the `window` - 1 before it; null sees all before it. */
  readonly window: number | null;
}

/** Rows are positions: `query` [batch * length, heads * headSize], `key` and `value` with keyValueHeads; out as query. */
export function causalAttention(query: Value, key: Value, value: Value, options: AttentionOptions): Value {
  const { batch, length, keyValueHeads, scale } = options;
  const group = options.heads / keyValueHeads;
  return composite([query, key, value], () => {
    const q = toHeads(query, options, group);
    const k = toHeads(key, options, 1);
    const v = toHeads(value, options, 1);
    const stacked = [batch * keyValueHeads, group * length, length];
    const products = reshape(matmul(q, k, { transB: true, scale }), [batch * keyValueHeads, group, length, length]);
    const masked = add(products, causalMask(query.graph, length, options.window));
    const probabilities = reshape(softmax(masked), stacked);
    const context = matmul(probabilities, v);
    return {
      output: fromHeads(context, options, group),
      gradient: (gradient) => {
        const dContext = toHeads(gradient, options, group);
        const dProbabilities = matmul(dContext, v, { transB: true });
        const dot = reduceSum(multiply(dContext, context), [2]);
        const dProducts = multiply(probabilities, subtract(dProbabilities, dot));
        return [
          fromHeads(matmul(dProducts, k, { scale }), options, group),
          fromHeads(matmul(dProducts, q, { transA: true, scale }), options, 1),
          fromHeads(matmul(probabilities, dContext, { transA: true }), options, 1),
        ];
      },
    };
  });
}

/** [batch * length, keyValueHeads * group * size] to [batch * keyValueHeads, group * length, size]. */
function toHeads(rows: Value, { batch, length, keyValueHeads, headSize }: AttentionOptions, group: number): Value {
  const heads = keyValueHeads * group;
  const turned = transpose(reshape(rows, [batch, length, heads, headSize]), [0, 2, 1, 3]);
  return reshape(turned, [batch * keyValueHeads, group * length, headSize]);
}

/** The inverse of `toHeads`. */
function fromHeads(stacked: Value, { batch, length, keyValueHeads, headSize }: AttentionOptions, group: number): Value {
  const heads = keyValueHeads * group;
  const turned = transpose(reshape(stacked, [batch, heads, length, headSize]), [0, 2, 1, 3]);
  return reshape(turned, [batch * length, heads * headSize]);
}

/** [length, length], added to the products: 0 where row may see column, else far below any product. */
function causalMask(graph: Graph, length: number, window: number | null): Value {
  const reach = window === null || window >= length ? length : window;
  return sharedConstant(graph, `causal mask/${length}/${reach}`, () => {
    const mask = new Float64Array(length * length).fill(-1e30);
    for (let row = 0; row < length; row++) {
      mask.fill(0, row * length + Math.max(0, row - reach + 1), row * length + row + 1);
    }
    return constant(graph, mask, [length, length], "float");
  });
}
