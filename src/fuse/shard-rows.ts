/** The rows of one conversation within a shard of distributions, and where they are found again. */
import type { DistributionsShard } from "../distributions/shard.ts";
import type { DistributionsRowColumns } from "../distributions/shard-file.ts";

/** One conversation's rows in a distributions shard, or in an excerpt of one. */
export interface ShardRows<Columns extends DistributionsRowColumns = DistributionsRowColumns> {
  readonly shard: Columns;
  /** Place of the conversation in the shard. */
  readonly place: number;
  /** First row within the shard. */
  readonly first: number;
  readonly rows: number;
}

/** Rows of a shard that is read again when they are needed. */
export interface Excerpt {
  /** Number of the shard in its folder. */
  readonly shard: number;
  readonly first: number;
  readonly rows: number;
}

/** The rows of the conversation at a place of a shard. */
export function shardRows(shard: DistributionsShard, place: number): ShardRows<DistributionsShard> {
  const first = shard.rowStart[place]!;
  return { shard, place, first, rows: shard.rowStart[place + 1]! - first };
}

/** Where rows of a shard of this number lie. */
export function excerpt(shard: number, { first, rows }: ShardRows): Excerpt {
  return { shard, first, rows };
}
