/** `fusechat merge config.yaml --out DIR`: reads mergekit's YAML, merges, and says what was done and how fast. */
import { dirname, resolve } from "node:path";
import { Option } from "commander";
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
      .addOption(new Option("--like <program>", "repeat its known defects").choices(["mergekit"]));
  },
  run: async ({ reporter, signal, print, document }, [file], { out, like }) => {
    const likeMergekit = like === "mergekit";
    const startedAt = performance.now();
    const config = await readMergeConfig(file!, { likeMergekit });
    const options = { out: String(out), baseFolder: dirname(resolve(file!)), likeMergekit };
    const summary = await mergeModels(config, options, { reporter, signal });
    const seconds = (performance.now() - startedAt) / 1000;
    const bytes = summary.bytes_read + summary.bytes_written;
    document({ ...summary, seconds });
    if (summary.already_done) print(`${summary.out} already holds this merge; nothing was done`);
    else {
      print(
        `${summary.out}: ${summary.method}, ${formatCount(summary.parameters)} parameters in ${summary.tensors} tensors, ` +
          `${formatBytes(bytes)} in ${formatSeconds(seconds)} (${(bytes / seconds / 1e9).toFixed(2)} GB/s)`,
      );
    }
    return undefined;
  },
};
