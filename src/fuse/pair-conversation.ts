/** What the shards of a pair say of one conversation: its rows at the pivot, and of each source the aligned and its own. */
import type { AlignedShard } from "../align/shard.ts";
import type { AlignedRowColumns } from "../align/shard-file.ts";
import type { DistributionsShard } from "../distributions/shard.ts";
import type { ShardRows } from "./shard-rows.ts";

/** What a target distribution is made of in an aligned shard. */
export type AlignedColumns = AlignedRowColumns &
  Pick<AlignedShard, "pivotNats" | "sourceNats" | "pivotBytes" | "sourceBytes">;

/** What one source says of a conversation. */
export interface SourceRows {
  /** The rows are the pivot's. */
  readonly aligned: { readonly shard: AlignedColumns; readonly place: number };
  /** The source's own rows: null where they were not given, or where the source's template refuses the conversation. */
  readonly own: ShardRows | null;
}

export interface PairConversation {
  /** Index in the prepared data. */
  readonly conversation: number;
  readonly pivot: ShardRows;
  /** In the order of the options; none for plain fine-tuning. */
  readonly sources: readonly SourceRows[];
}

/** The same with all that its shards say, for the checks. */
export interface WholeConversation extends PairConversation {
  readonly pivot: ShardRows<DistributionsShard>;
  readonly sources: readonly {
    readonly aligned: { readonly shard: AlignedShard; readonly place: number };
    readonly own: ShardRows<DistributionsShard> | null;
  }[];
}
