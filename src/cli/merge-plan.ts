/** What a merge would do, as a table: `fusechat merge --plan`, and `fusechat plan` of a merge configuration. */
import { dirname, resolve } from "node:path";
import type { MergeOptions } from "../merge/merge.ts";
import { previewMerge } from "../merge/preview.ts";
import { readMergeConfig } from "../merge/read-config.ts";
import { formatTable } from "./table.ts";
import type { Invocation } from "./verb.ts";

/** Nothing is written; what cannot work is refused as the merge itself would. */
export async function showMergePlan(
  { print, document, reporter }: Invocation,
  file: string,
  options: Partial<Omit<MergeOptions, "baseFolder">> = {},
): Promise<void> {
  const { likeMergekit = false } = options;
  const config = await readMergeConfig(file, { likeMergekit });
  const { warnings, ...preview } = await previewMerge(config, { ...options, baseFolder: dirname(resolve(file)) });
  for (const message of warnings) reporter.report({ type: "warning", stage: "merge", message });
  print(formatTable(preview));
  document({ ...preview, warnings });
}
