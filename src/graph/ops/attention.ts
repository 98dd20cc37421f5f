/**
 * Causal attention (Vaswani et al. 2017, eq. 1) with grouped heads (Ainslie et al. 2023) and an optional sliding
 * window (Beltagy et al. 2020). The queries that share one key head are laid one after another, `[group * length, size]`,
 * so keys and values are never repeated and their gradients sum over the group inside the matrix product. Padding on
 * the right needs no mask: no earlier position sees it.
 *
 * Queries are cut into blocks, and a block meets only the keys that some query in it may see: up to half of the products
 * and of the memory is saved, and nearly all of it where the window is short. The gradient uses `rowsum(dO * O)` for
 * `rowsum(dP * P)` (Dao et al. 2022, section 3.1): head size instead of length.
 */
import { composite, constant, type Graph, sharedConstant, type Value } from "../graph.ts";
import { add, multiply, subtract } from "./arithmetic.ts";
import { reduceSum } from "./broadcast.ts";
import { matmul } from "./matmul.ts";
import { softmax } from "./reduction.ts";
import { concat, reshape, slice, transpose } from "./shape.ts";
import { softCap, softCapSlope } from "./soft-cap.ts";

/** Four blocks save 3/8 of the products; eight would save 1/16 more with three times the nodes. */
const LEAST_BLOCK = 128;
const MOST_BLOCKS = 4;

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
  /** Scaled products z become `cap * tanh(z / cap)` (Gemma 2, section 2); null leaves them. */
  readonly cap: number | null;
}

/** Queries `start` to `end` - 1 see keys from `first` on, at most to `end` - 1. */
interface Block {
  readonly first: number;
  readonly start: number;
  readonly end: number;
}

/** Rows are positions: `query` [batch * length, heads * headSize], `key` and `value` with keyValueHeads; out as query. */
export function causalAttention(query: Value, key: Value, value: Value, options: AttentionOptions): Value {
  const { length, scale } = options;
  const group = options.heads / options.keyValueHeads;
  const blocks = queryBlocks(length, options.window);
  return composite([query, key, value], () => {
    const q = toHeads(query, options, group);
    const k = toHeads(key, options, 1);
    const v = toHeads(value, options, 1);
    const parts = blocks.map((block) => {
      const queries = stack(slice(q, 2, block.start, block.end));
      const keys = stack(slice(k, 2, block.first, block.end));
      const values = stack(slice(v, 2, block.first, block.end));
      const products = matmul(queries, keys, { transB: true, scale });
      const capped = softCap(products, options.cap);
      const probabilities = stack(softmax(mask(unstack(capped, group), block, options.window)));
      return { queries, keys, values, capped, probabilities, context: matmul(probabilities, values) };
    });
    const joined = (pieces: readonly Value[]): Value =>
      concat(
        pieces.map((piece) => unstack(piece, group)),
        2,
      );
    return {
      output: fromHeads(joined(parts.map((part) => part.context)), options),
      gradient: (gradient) => {
        const dOutput = toHeads(gradient, options, group);
        const pieces = blocks.map((block, index) => {
          const { queries, keys, values, capped, probabilities, context } = parts[index]!;
          const dContext = stack(slice(dOutput, 2, block.start, block.end));
          const dProbabilities = matmul(dContext, values, { transB: true });
          const dot = reduceSum(multiply(dContext, context), [2]);
          const dCapped = multiply(probabilities, subtract(dProbabilities, dot));
          const dProducts = options.cap === null ? dCapped : multiply(dCapped, softCapSlope(capped, options.cap));
          return {
            query: matmul(dProducts, keys, { scale }),
            key: matmul(dProducts, queries, { transA: true, scale }),
            value: matmul(probabilities, dContext, { transA: true }),
          };
        });
        const summed = (which: "key" | "value"): Value =>
          unstack(
            sumBlocks(
              blocks,
              pieces.map((piece) => piece[which]),
            ),
            1,
          );
        return [
          fromHeads(joined(pieces.map((piece) => piece.query)), options),
          fromHeads(summed("key"), options),
          fromHeads(summed("value"), options),
        ];
      },
    };
  });
}

/** Blocks of nearly equal size; where a window cuts keys off, at a block's edge. */
function queryBlocks(length: number, window: number | null): Block[] {
  const count = Math.min(MOST_BLOCKS, Math.ceil(length / LEAST_BLOCK));
  const size = Math.ceil(length / count);
  const blocks: Block[] = [];
  for (let start = 0; start < length; start += size) {
    const seen = window === null ? 0 : Math.max(0, start - window + 1);
    blocks.push({ first: seen - (seen % size), start, end: Math.min(length, start + size) });
  }
  return blocks;
}

/** Gradients of the keys each block saw, [n, block.end - block.first, size], added up to [n, length, size]. */
function sumBlocks(blocks: readonly Block[], pieces: readonly Value[]): Value {
  const sums = blocks.map(({ start, end }) => {
    const shares = blocks.flatMap((block, index) =>
      block.first <= start && block.end >= end
        ? [slice(pieces[index]!, 1, start - block.first, end - block.first)]
        : [],
    );
    return shares.reduce((sum, share) => add(sum, share));
  });
  return concat(sums, 1);
}

/** [batch * length, keyValueHeads * group * size] to [batch * keyValueHeads, group, length, size]. */
function toHeads(rows: Value, { batch, length, keyValueHeads, headSize }: AttentionOptions, group: number): Value {
  const turned = transpose(reshape(rows, [batch, length, keyValueHeads * group, headSize]), [0, 2, 1, 3]);
  return reshape(turned, [batch * keyValueHeads, group, length, headSize]);
}

/** The inverse of `toHeads`. */
function fromHeads(x: Value, { batch, length, headSize }: AttentionOptions): Value {
  const heads = (x.shape[0]! / batch) * x.shape[1]!;
  const turned = transpose(reshape(x, [batch, heads, length, headSize]), [0, 2, 1, 3]);
  return reshape(turned, [batch * length, heads * headSize]);
}

/** [n, group, rows, columns] to [n, group * rows, columns]: one product serves the group. */
function stack(x: Value): Value {
  const [n, group, rows, columns] = x.shape as [number, number, number, number];
  return reshape(x, [n, group * rows, columns]);
}

/** The inverse of `stack`. */
function unstack(x: Value, group: number): Value {
  const [n, rows, columns] = x.shape as [number, number, number];
  return reshape(x, [n, group, rows / group, columns]);
}

/** Products [n, group, queries, keys] of a block, those put far below any other whose key the query must not see. */
function mask(products: Value, block: Block, window: number | null): Value {
  const added = blockMask(products.graph, block, window);
  return added === null ? products : add(products, added);
}

/** [queries, keys]: 0 where seen, else a large negative number. Blocks of one form share it. */
export function blockMask(graph: Graph, { first, start, end }: Block, window: number | null): Value | null {
  const rows = end - start;
  const columns = end - first;
  const reach = window === null ? columns : Math.min(window, columns);
  if (rows === 1 && reach === columns) return null;
  return sharedConstant(graph, `causal mask/${rows}/${columns}/${reach}`, () => {
    const values = new Float64Array(rows * columns).fill(-1e30);
    for (let row = 0; row < rows; row++) {
      const self = start - first + row;
      values.fill(0, row * columns + Math.max(0, self - reach + 1), row * columns + self + 1);
    }
    return constant(graph, values, [rows, columns], "float");
  });
}
