/** Attention of projected queries to projected keys and values, positions turned in on the way. */
import type { Value } from "../graph/graph.ts";
import { causalAttention } from "../graph/ops/attention.ts";
import { rotary } from "../graph/ops/rotary.ts";
import type { RotaryEmbedding, Scope } from "./architecture.ts";
import { rotaryTables } from "./rotary-tables.ts";

export interface AttendOptions {
  readonly rotary: RotaryEmbedding;
  readonly heads: number;
  /** Divides `heads`. */
  readonly keyValueHeads: number;
  readonly headSize: number;
  /** Multiplies the products of queries and keys. */
  readonly scale: number;
  /** Positions a position sees, itself included; null sees all before it. */
  readonly window: number | null;
  /** Scaled products z become `cap * tanh(z / cap)`; null leaves them. */
  readonly cap: number | null;
}

/** Rows are positions: `query` [batch * length, heads * headSize], `key` and `value` with keyValueHeads; out as query. */
export function attend(
  scope: Scope,
  { query, key, value }: Readonly<Record<"query" | "key" | "value", Value>>,
  options: AttendOptions,
): Value {
  const { rotary: embedding, ...shape } = options;
  const { batch, length } = scope;
  const tables = rotaryTables(embedding, length);
  return causalAttention(rotary(query, tables), rotary(key, tables), value, { batch, length, ...shape });
}
