/** Attention of projected queries to projected keys and values, positions turned in on the way. */
import type { Value } from "../graph/graph.ts";
import { type AttentionOptions, causalAttention } from "../graph/ops/attention.ts";
import { cachedAttention, headsFirst, newPositions } from "../graph/ops/cached-attention.ts";
import { type RotaryTables, rotary, rotaryAt } from "../graph/ops/rotary.ts";
import type { RotaryEmbedding, Scope } from "./architecture.ts";
import { rotaryTables } from "./rotary-tables.ts";

/** Batch and length are the scope's. */
export interface AttendOptions extends Omit<AttentionOptions, "batch" | "length"> {
  /** Null where positions turn nothing. */
  readonly rotary: RotaryEmbedding | null;
}

/**
 * Rows are positions: `query` [batch * length, heads * headSize], `key` and `value` with keyValueHeads; out as query.
 * Only here is known that there may be a cache: the rest of a network is the same in a step of generation.
 */
export function attend(
  scope: Scope,
  { query, key, value }: Readonly<Record<"query" | "key" | "value", Value>>,
  { rotary: embedding, ...shape }: AttendOptions,
): Value {
  const { batch, length, isLong = false, cache } = scope;
  const options = { batch, length, ...shape };
  const tables = (positions: number, own: RotaryEmbedding): RotaryTables =>
    rotaryTables(own, { headSize: shape.headSize, length: positions, isLong });
  if (cache === undefined || cache.past === null) {
    const turn = (x: Value): Value => (embedding === null ? x : rotary(x, tables(length, embedding)));
    const turnedQuery = turn(query);
    const turnedKey = turn(key);
    cache?.keep(headsFirst(turnedKey, options), headsFirst(value, options));
    return causalAttention(turnedQuery, turnedKey, value, options);
  }
  const { past } = cache;
  const turn = (x: Value): Value => {
    if (embedding === null) return x;
    return rotaryAt(x, tables(past.capacity + length, embedding), newPositions(past.filled, length));
  };
  const newKey = headsFirst(turn(key), options);
  const newValue = headsFirst(value, options);
  cache.keep(newKey, newValue);
  const kept = { ...past.next(), filled: past.filled };
  return cachedAttention(turn(query), newKey, newValue, kept, options);
}
