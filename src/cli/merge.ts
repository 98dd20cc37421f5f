/**
 * `fusechat merge config.yaml --out DIR`: reads mergekit's YAML, merges, and says what was done and how fast; with
 * `--plan` only what it would do.
 */

import { dirname, resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { inputError } from "../errors.ts";
import { type MergeSummary, mergeModels } from "../merge/merge.ts";
import { readMergeConfigs } from "../merge/read-config.ts";
import { mergeSequence } from "../merge/sequence.ts";
import { fetched } from "../models/reference.ts";
import { type Table, tableOf } from "../table.ts";
import { formatBytes, formatCount, formatSeconds } from "./figures.ts";
import { EXTRACT, runExtract } from "./merge-extract.ts";
import { showMergePlan } from "./merge-plan.ts";
import type { Verb } from "./verb.ts";

export const mergeVerb: Verb = {
  name: "merge",
  summary: "merge models as a mergekit configuration says",
  long: true,
  declare: (command) => {
    command
      .argument(
        "<config>",
        "mergekit YAML; models are folders (beside it, then from the current folder) or org/name of the Hub; or extract-lora, for an adapter",
      )
      .option("--out <folder>", "the model folder to make; of several merges in one file, the folder of their folders")
      .option("--plan", "only say what would be read, written and needed")
      .option(
        "--repair",
        "replace NaN and infinite entries by the base's, without one by the mean of the other models'",
      )
      .option("--shard-size <size>", "largest file of weights, such as 500MB (default: 5GB)", byteSize)
      .option("--base <model>", "extract-lora: the model that the adapter is for")
      .option("--model <model>", "extract-lora: the fine-tuned model")
      .option("--rank <number>", "extract-lora: rank of the products (default: 16)")
      .addOption(new Option("--like <program>", "repeat its known defects").choices(["mergekit"]));
  },
  run: async (invocation, [file = ""], given) => {
    const { out, like, shardSize, plan, repair } = given;
    if (file === EXTRACT) {
      await runExtract(invocation, given);
      return undefined;
    }
    for (const name of ["base", "model", "rank"]) {
      if (given[name] !== undefined) throw inputError("fusechat merge", `--${name} is an option of extract-lora`);
    }
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
    const merges = await readMergeConfigs(file, { likeMergekit });
    const options = {
      ...settings,
      out: String(out),
      baseFolder: dirname(resolve(file)),
      hub: fetched(invocation.hub),
    };
    const context = { reporter, signal };
    if (merges.length === 1) {
      const summary = await mergeModels(merges[0]!.config, options, context);
      const seconds = (performance.now() - startedAt) / 1000;
      document({ ...summary, seconds });
      print(sentence(summary, seconds));
      return undefined;
    }
    const summaries = await mergeSequence(merges, options, context);
    document({ merges: summaries, seconds: (performance.now() - startedAt) / 1000 });
    for (const summary of summaries) print(sentence(summary));
    return undefined;
  },
};

/** `seconds` where they are this merge's alone. */
function sentence(summary: MergeSummary, seconds?: number): string {
  const { out, method, parameters, tensors, tensors_kept: kept } = summary;
  if (summary.already_done) return `${out} already holds this merge; nothing was done`;
  const bytes = summary.bytes_read + summary.bytes_written;
  const speed =
    seconds === undefined ? "" : ` in ${formatSeconds(seconds)} (${(bytes / seconds / 1e9).toFixed(2)} GB/s)`;
  const before = kept === 0 ? "" : `; ${kept} finished before were kept`;
  return `${out}: ${method}, ${formatCount(parameters)} parameters in ${tensors} tensors, ${formatBytes(bytes)}${speed}${before}`;
}

const BYTES: Table<number> = tableOf({ "": 1, KB: 1e3, MB: 1e6, GB: 1e9 });

/** `5GB`, `500 MB` or a number of bytes. */
function byteSize(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([KMG]?B?)$/i.exec(text.trim()) ?? [];
  const factor = BYTES[unit?.toUpperCase() ?? "none"];
  const bytes = Math.floor(Number(digits) * (factor ?? Number.NaN));
  if (!(bytes > 0)) throw new InvalidArgumentError("Expected a size such as 500MB or 5GB.");
  return bytes;
}
