/** `fusechat merge config.yaml --out DIR`: reads mergekit's YAML, merges, and says what was done and how fast. */
import { dirname, resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { mergeModels } from "../merge/merge.ts";
import { readMergeConfig } from "../merge/read-config.ts";
import { formatBytes, formatCount, formatSeconds } from "./figures.ts";
import type { Verb } from "./verb.ts";

export const mergeVerb: Verb = {
  name: "merge",
  summary: "merge models as a mergekit configuration says",
  long: true,
  declare: (command) => {
    command
      .argument("<config>", "mergekit YAML; model paths are looked up beside it, then from the current folder")
      .requiredOption("--out <folder>", "the model folder to make")
      .option("--shard-size <size>", "largest file of weights, such as 500MB (default: 5GB)", byteSize)
      .addOption(new Option("--like <program>", "repeat its known defects").choices(["mergekit"]));
  },
  run: async ({ reporter, signal, print, document }, [file], { out, like, shardSize }) => {
    const likeMergekit = like === "mergekit";
    const startedAt = performance.now();
    const config = await readMergeConfig(file!, { likeMergekit });
    const shardBytes = shardSize === undefined ? {} : { shardBytes: Number(shardSize) };
    const options = { out: String(out), baseFolder: dirname(resolve(file!)), likeMergekit, ...shardBytes };
    const summary = await mergeModels(config, options, { reporter, signal });
    const seconds = (performance.now() - startedAt) / 1000;
    const bytes = summary.bytes_read + summary.bytes_written;
    document({ ...summary, seconds });
    if (summary.already_done) print(`${summary.out} already holds this merge; nothing was done`);
    else {
      const kept = summary.shards_kept === 0 ? "" : `; ${summary.shards_kept} finished before were kept`;
      print(
        `${summary.out}: ${summary.method}, ${formatCount(summary.parameters)} parameters in ${summary.tensors} tensors, ` +
          `${formatBytes(bytes)} in ${formatSeconds(seconds)} (${(bytes / seconds / 1e9).toFixed(2)} GB/s)${kept}`,
      );
    }
    return undefined;
  },
};

const BYTES: Readonly<Record<string, number>> = { "": 1, KB: 1e3, MB: 1e6, GB: 1e9 };

/** `5GB`, `500 MB` or a number of bytes. */
function byteSize(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([KMG]?B?)$/i.exec(text.trim()) ?? [];
  const factor = BYTES[unit?.toUpperCase() ?? "none"];
  const bytes = Math.floor(Number(digits) * (factor ?? Number.NaN));
  if (!(bytes > 0)) throw new InvalidArgumentError("Expected a size such as 500MB or 5GB.");
  return bytes;
}
