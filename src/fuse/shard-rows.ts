/** The rows of one conversation within a shard of distributions. */
import type { DistributionsShard } from "../distributions/shard.ts";
import type { DistributionsRowColumns } from "../distributions/shard-file.ts";

/** One conversation's rows in a distributions shard. */
export interface ShardRows<Columns extends DistributionsRowColumns = DistributionsRowColumns> {
  readonly shard: Columns;
  /** Place of the conversation in the shard. */
  readonly place: number;
  /** First row within the shard. */
  readonly first: number;
  readonly rows: number;
}

/** The rows of the conversation at a place of a shard. */
export function shardRows(shard: DistributionsShard, place: number): ShardRows<DistributionsShard> {
  const first = shard.rowStart[place]!;
  return { shard, place, first, rows: shard.rowStart[place + 1]! - first };
}
