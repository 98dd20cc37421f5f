/**
 * Which files of a model of the Hub are needed: config, tokenizer and template files, the index and the safetensors
 * files of the weights. Names are taken from our own list or checked, so that nothing that a repository is called can
 * lead out of its folder; pickles and everything else are left where they are.
 */

import { inputError } from "../errors.ts";
import { INDEX, SINGLE } from "../formats/weights.ts";
import type { RemoteFile } from "../hub/listing.ts";
import { MODEL_FILES } from "./folder.ts";
import { TEMPLATE_FOLDER, TEMPLATE_SUFFIX, TOKENIZER_FILES } from "./tokenizer-files.ts";

export const ADAPTER_CONFIG = "adapter_config.json";
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";

type Files = ReadonlyMap<string, RemoteFile>;

/** The largest tokenizers have 50 MB. */
const LONGEST_TEXT = 1e9;

const PLAIN_NAME = /^[^/\\:\0]+$/;

/** Everything but weights and code, and the index where it is needed to find the weights. */
export function textFiles(repo: string, files: Files): readonly RemoteFile[] {
  const names = ["config.json", ADAPTER_CONFIG, ...MODEL_FILES, ...TOKENIZER_FILES, ...templates(files)];
  if (!files.has(SINGLE)) names.push(INDEX);
  const found = names.flatMap((name) => files.get(name) ?? []);
  const tooLong = found.find(({ size }) => size > LONGEST_TEXT);
  if (tooLong === undefined) return found;
  throw inputError(`${repo}: ${tooLong.path}`, `is listed with ${tooLong.size} bytes; no such file is that long`);
}

function templates(files: Files): string[] {
  const prefix = `${TEMPLATE_FOLDER}/`;
  return [...files.keys()].filter(
    (path) => path.startsWith(prefix) && path.endsWith(TEMPLATE_SUFFIX) && PLAIN_NAME.test(path.slice(prefix.length)),
  );
}

/** A config with an `auto_map` names classes in them, which outputs need to load elsewhere; they are never run here. */
export function codeFiles(files: Files): readonly RemoteFile[] {
  return [...files.values()].filter(({ path, size }) => /^\w[\w.-]*\.py$/.test(path) && size <= LONGEST_TEXT);
}

/** The files of the weights; `shards` are those that the index names, where there is one. None where there are none. */
export function weightFiles(repo: string, files: Files, shards: readonly string[] | undefined): readonly RemoteFile[] {
  const single = files.get(SINGLE);
  if (single !== undefined) return [single];
  if (shards !== undefined) {
    return shards.map((shard) => {
      const file = files.get(shard);
      if (file === undefined)
        throw inputError(`${repo}: ${INDEX}`, `names ${JSON.stringify(shard)}, which is not there`);
      return file;
    });
  }
  const adapter = files.get(ADAPTER_WEIGHTS);
  return adapter === undefined ? [] : [adapter];
}
