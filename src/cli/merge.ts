/**
 * `fusechat merge config.yaml --out DIR`: reads mergekit's YAML, merges, and says what was done and how fast; with
 * `--plan` only what it would do.
 */
import { dirname, resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { inputError } from "../errors.ts";
import { mergeModels } from "../merge/merge.ts";
import { readMergeConfig } from "../merge/read-config.ts";
import { formatBytes, formatCount, formatSeconds } from "./figures.ts";
import { showMergePlan } from "./merge-plan.ts";
import type { Verb } from "./verb.ts";

export const mergeVerb: Verb = {
  name: "merge",
  summary: "merge models as a mergekit configuration says",
  long: true,
  declare: (command) => {
    command
      .argument("<config>", "mergekit YAML; model paths are looked up beside it, then from the current folder")
      .option("--out <folder>", "the model folder to make")
      .option("--plan", "only say what would be read, written and needed")
      .option(
        "--repair",
        "replace NaN and infinite entries by the base's, without one by the mean of the other models'",
      )
      .option("--shard-size <size>", "largest file of weights, such as 500MB (default: 5GB)", byteSize)
      .addOption(new Option("--like <program>", "repeat its known defects").choices(["mergekit"]));
  },
  run: async (invocation, [file = ""], { out, like, shardSize, plan, repair }) => {
    const { reporter, signal, print, document } = invocation;
    const likeMergekit = like === "mergekit";
    const settings = {
      likeMergekit,
      repair: repair === true,
      ...(shardSize !== undefined && { shardBytes: Number(shardSize) }),
    };
    if (plan === true) {
      await showMergePlan(invocation, file, { ...settings, ...(out !== undefined && { out: String(out) }) });
      return undefined;
    }
    if (out === undefined) throw inputError("fusechat merge", "required option '--out <folder>' not specified");
    const startedAt = performance.now();
    const config = await readMergeConfig(file, { likeMergekit });
    const options = { ...settings, out: String(out), baseFolder: dirname(resolve(file)) };
    const summary = await mergeModels(config, options, { reporter, signal });
    const seconds = (performance.now() - startedAt) / 1000;
    const bytes = summary.bytes_read + summary.bytes_written;
    document({ ...summary, seconds });
    if (summary.already_done) print(`${summary.out} already holds this merge; nothing was done`);
    else {
      const kept = summary.tensors_kept === 0 ? "" : `; ${summary.tensors_kept} finished before were kept`;
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
