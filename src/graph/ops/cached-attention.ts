/**
 * Attention of new positions to themselves and to earlier ones whose keys and values were kept (Pope et al. 2022,
 * section 2): the step of generation. Without a gradient. Each sequence has filled its own number of places, so
 * sequences of different lengths share a batch.
 *
 * Kept keys are read where they lie: the products with them and with the new ones are made apart, and only the small
 * matrices of products are joined for the softmax. Joining the keys instead would copy the whole cache in every layer.
 */
import { constant, type Graph, scalar, sharedConstant, type Value, withoutTape } from "../graph.ts";
import { add, cast, greater, scale, where } from "./arithmetic.ts";
import { type AttentionOptions, blockMask } from "./attention.ts";
import { matmul, matmulByRows, type ProductOptions } from "./matmul.ts";
import { softmax } from "./reduction.ts";
import { concat, reshape, slice, transpose } from "./shape.ts";
import { softCap } from "./soft-cap.ts";

/** What lies before the new positions; every sequence has the same number of places, the capacity. */
export interface KeptPositions {
  /** [batch * keyValueHeads, capacity, headSize]; keys already turned. What lies in unfilled places must be finite. */
  readonly key: Value;
  readonly value: Value;
  /** int32 [batch]: the places that are filled, from the first on. */
  readonly filled: Value;
}

/**
 * `query` rows [batch * length, heads * headSize]; `key` and `value` of the new positions as `headsFirst` gives them.
 * Position t of a sequence sees the filled places and new positions up to itself, within the window. Out as query.
 */
export function cachedAttention(
  query: Value,
  key: Value,
  value: Value,
  kept: KeptPositions,
  options: AttentionOptions,
): Value {
  const { batch, length, heads, keyValueHeads, headSize, scale: factor, window, cap } = options;
  const { graph } = query;
  const capacity = kept.key.shape[1]!;
  const group = heads / keyValueHeads;
  const grouped = [batch * keyValueHeads, group * length] as const;
  return withoutTape(graph, () => {
    const queries = reshape(headsFirst(query, { batch, length, headSize }), [...grouped, headSize]);
    const products = (keys: Value, mask: Value | null): Value => {
      const columns = keys.shape[1]!;
      const capped = softCap(perQuery(queries, keys, { transB: true, scale: factor }), cap);
      if (mask === null) return capped;
      return reshape(add(reshape(capped, [batch, heads, length, columns]), mask), [...grouped, columns]);
    };
    const before = products(kept.key, keptMask(graph, kept.filled, [batch, length, capacity], window));
    const among = products(key, blockMask(graph, { first: 0, start: 0, end: length }, window));
    const probabilities = softmax(concat([before, among], 2));
    const context = add(
      perQuery(slice(probabilities, 2, 0, capacity), kept.value),
      matmul(slice(probabilities, 2, capacity, capacity + length), value),
    );
    return rowsFirst(context, { batch, length, headSize });
  });
}

/** Up to so many queries a key head are products of one row each: more are faster in one, for which the runtime packs the keys. */
const MOST_SINGLE_QUERIES = 8;

/** A product of `queries` [n, count, inner] with kept keys or values, each by itself where they are few. */
function perQuery(queries: Value, kept: Value, { scale: factor = 1, transB = false }: ProductOptions = {}): Value {
  if (queries.shape[1]! > MOST_SINGLE_QUERIES) return matmul(queries, kept, { scale: factor, transB });
  // The runtime's product of one row knows no factor.
  return matmulByRows(scale(queries, factor), kept, transB);
}

interface RowsShape {
  readonly batch: number;
  readonly length: number;
  readonly headSize: number;
}

/** Rows [batch * length, heads * headSize] to [batch * heads, length, headSize]. */
export function headsFirst(rows: Value, { batch, length, headSize }: RowsShape): Value {
  const heads = rows.shape[1]! / headSize;
  const shape = [batch * heads, length, headSize];
  // One position has nothing to turn, and generation is mostly that.
  if (length === 1) return reshape(rows, shape);
  return reshape(transpose(reshape(rows, [batch, length, heads, headSize]), [0, 2, 1, 3]), shape);
}

/** The inverse of `headsFirst`, from any grouping of the heads. */
function rowsFirst(x: Value, { batch, length, headSize }: RowsShape): Value {
  const heads = (x.shape[0]! * x.shape[1]!) / (batch * length);
  const shape = [batch * length, heads * headSize];
  if (length === 1) return reshape(x, shape);
  return reshape(transpose(reshape(x, [batch, heads, length, headSize]), [0, 2, 1, 3]), shape);
}

/** [batch, 1, length or 1, capacity]: 0 where new position t sees a place, else a large negative number. */
function keptMask(
  graph: Graph,
  filled: Value,
  [batch, length, capacity]: readonly [number, number, number],
  window: number | null,
): Value {
  return sharedConstant(graph, `kept mask/${length}/${capacity}/${window}`, () => {
    const place = constant(
      graph,
      Int32Array.from({ length: capacity }, (_, index) => index),
      [1, 1, 1, capacity],
      "int32",
    );
    const count = reshape(filled, [batch, 1, 1, 1]);
    const hidden = scalar(graph, -1e30);
    const unfilled = where(greater(count, place), scalar(graph, 0), hidden);
    if (window === null) return unfilled;
    // Position `count + t` sees what comes after `count + t - window`.
    const offset = constant(
      graph,
      Int32Array.from({ length }, (_, t) => t - window),
      [1, 1, length, 1],
      "int32",
    );
    return where(greater(place, add(count, offset)), unfilled, hidden);
  });
}

/** int64 [batch, length]: the positions of the new rows, which follow the filled places. */
export function newPositions(filled: Value, length: number): Value {
  const { graph } = filled;
  const batch = filled.shape[0]!;
  return sharedConstant(graph, `new positions/${length}`, () => {
    const offset = constant(
      graph,
      Int32Array.from({ length }, (_, t) => t),
      [1, length],
      "int32",
    );
    return cast(add(reshape(filled, [batch, 1]), offset), "int64");
  });
}
