/**
 * The tokenizer that belongs to a folder of shards: from the model folder the caller names, or from the copy beside
 * the shards. Either must be the very file that the shards were made with.
 */
import { join } from "node:path";
import type { DistributionsMetadata } from "../distributions/shard.ts";
import { inputError } from "../errors.ts";
import { exists } from "../formats/files.ts";
import { loadTokenizer } from "../tokenizer/load.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** `flag` is the option that names a model folder, for the error message. */
export async function openTokenizer(
  shards: string,
  metadata: DistributionsMetadata,
  modelFolder: string | undefined,
  flag: string,
): Promise<Tokenizer> {
  if (modelFolder === undefined && !(await exists(join(shards, "tokenizer.json")))) {
    throw inputError(shards, `no tokenizer.json lies beside the shards; name the model's folder with ${flag}`);
  }
  const folder = modelFolder ?? shards;
  const tokenizer = await loadTokenizer(folder);
  if (tokenizer.sha256 !== metadata.tokenizerSha256) {
    throw inputError(
      join(folder, "tokenizer.json"),
      `is not the tokenizer that the shards in ${shards} were made with (SHA-256 ${tokenizer.sha256.slice(0, 12)}…, expected ${metadata.tokenizerSha256.slice(0, 12)}…)`,
    );
  }
  return tokenizer;
}
