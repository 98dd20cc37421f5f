/** A source's own shards beside the pivot's, gone through once: memory is that of one of them. */
import { readDistributions } from "../distributions/read-folder.ts";
import type { DistributionsShard } from "../distributions/shard.ts";
import { type ShardRows, shardRows } from "./shard-rows.ts";

export interface SourceWalk {
  /** The rows of a conversation, whose number is above that of the one before; null where the source has none. */
  find(conversation: number): Promise<ShardRows<DistributionsShard> | null>;
  /** Reads what is left, so that all shards are checked. */
  finish(): Promise<void>;
}

/** The source's shards beside the pivot's: conversations ascend in both, but the files need not be cut alike. */
export function createSourceWalk(folder: string): SourceWalk {
  const shards = readDistributions(folder);
  let current: DistributionsShard | undefined;
  let number = -1;
  const next = async (): Promise<void> => {
    const step = await shards.next();
    current = step.done === true ? undefined : step.value.shard;
    number++;
  };
  return {
    find: async (conversation) => {
      if (number < 0) await next();
      while (current !== undefined && (current.conversation.at(-1) ?? -1) < conversation) await next();
      const place = current?.conversation.indexOf(conversation) ?? -1;
      return place < 0 ? null : shardRows(current!, place);
    },
    finish: async () => {
      while (number < 0 || current !== undefined) await next();
    },
  };
}
