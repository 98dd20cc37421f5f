/**
 * The tokens that belong to a folder of shards: from the model folder the caller names, or from the copy beside the
 * shards. Either must be the very file that the shards were made with.
 */
import { join } from "node:path";
import type { DistributionsMetadata } from "../distributions/shard.ts";
import { inputError } from "../errors.ts";
import { exists } from "../formats/files.ts";
import { createTokenTable } from "../tokenizer/token-table.ts";
import { openTokenWorker } from "../tokenizer/token-work.ts";
import type { TokenTable } from "../tokenizer/tokenizer.ts";

export interface ShardTokens {
  /** Of `tokenizer.json`. */
  readonly folder: string;
  readonly table: TokenTable;
}

/** `flag` is the option that names a model folder, for the error message. */
export async function readShardTokens(
  shards: string,
  metadata: DistributionsMetadata,
  modelFolder: string | undefined,
  flag: string,
): Promise<ShardTokens> {
  if (modelFolder === undefined && !(await exists(join(shards, "tokenizer.json")))) {
    throw inputError(shards, `no tokenizer.json lies beside the shards; name the model's folder with ${flag}`);
  }
  const folder = modelFolder ?? shards;
  const table = await readTokenTable(folder);
  if (table.sha256 !== metadata.tokenizerSha256) {
    throw inputError(
      join(folder, "tokenizer.json"),
      `is not the tokenizer that the shards in ${shards} were made with (SHA-256 ${table.sha256.slice(0, 12)}…, expected ${metadata.tokenizerSha256.slice(0, 12)}…)`,
    );
  }
  return { folder, table };
}

async function readTokenTable(folder: string): Promise<TokenTable> {
  const { work, dispose } = await openTokenWorker(folder);
  try {
    return createTokenTable(await work.table(folder));
  } finally {
    await dispose();
  }
}
