/** The shards of a folder one after the other, checked against each other: one model, one vocabulary, one order. */
import { inputError } from "../errors.ts";
import type { TensorMemory } from "../formats/safetensors.ts";
import { listShards } from "./folder.ts";
import type { DistributionsMetadata, DistributionsShard } from "./shard.ts";
import { readDistributionsShard } from "./shard-file.ts";

export interface ShardOfFolder {
  readonly path: string;
  readonly shard: DistributionsShard;
}

/** Reads the shards in order, one in memory at a time; to the same `memory`, if any, so that each overwrites the last. */
export async function* readDistributions(
  folder: string,
  memory?: TensorMemory,
): AsyncGenerator<ShardOfFolder, void, void> {
  let first: { readonly path: string; readonly metadata: DistributionsMetadata } | undefined;
  let last = -1;
  for (const path of await listShards(folder)) {
    const shard = await readDistributionsShard(path, memory);
    const { conversation, metadata } = shard;
    first ??= { path, metadata };
    for (const key of Object.keys(metadata) as (keyof DistributionsMetadata)[]) {
      if (metadata[key] === first.metadata[key]) continue;
      throw inputError(path, `its ${key} is "${metadata[key]}", that of ${first.path} is "${first.metadata[key]}"`);
    }
    if (conversation.length > 0 && conversation[0]! <= last) {
      throw inputError(path, `begins with conversation ${conversation[0]}, the shard before ends with ${last}`);
    }
    last = conversation.at(-1) ?? last;
    yield { path, shard };
  }
}
